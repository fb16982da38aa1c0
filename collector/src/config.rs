//! Flags and file → a configuration, complete and checked: nothing after this
//! point can be a usage error.

mod compression;
pub(crate) mod dump;
pub(crate) mod file;
pub(crate) mod keys;
mod live;
pub(crate) mod quantity;
mod repeat;
mod sockets;
mod sources;
mod streams;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use flow_common::column::ExtraColumn;
use flow_common::layout::{Hierarchy, NFDUMP_HIERARCHIES};
use flow_common::limits;
use ipnet::IpNet;

pub use self::compression::Compression;
use crate::bounds::Bounds;
use crate::cli::{self, Args};
use crate::compact::Compaction;
use crate::exec::CommandTemplate;
use crate::lifetime::Lifetimes;
use crate::repeat::Destination;
use crate::retention::Retention;
use crate::sampling::SamplingPolicy;
use crate::socket::SocketOptions;
use crate::stream::Streams;
use crate::trees::{Tree, Trees};
use crate::user::User;

pub use self::live::Changes;

/// Where datagrams come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// UDP sockets at these addresses.
    Listen(Vec<SocketAddr>),
    /// A pcap or pcapng file.
    Capture(PathBuf),
}

/// What a collector does. [`Config::default`] is what it does without arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where datagrams come from.
    pub source: Source,
    /// What is asked of UDP sockets.
    pub socket: SocketOptions,
    /// Root of the tree of files.
    pub root: PathBuf,
    /// Length of a slot, seconds.
    pub slot_secs: u32,
    /// How files are spread over directories.
    pub hierarchy: Hierarchy,
    /// Name written into every file.
    pub ident: String,
    /// Collectors that datagrams are sent on to.
    pub repeat: Vec<Destination>,
    /// What is run for each file that has appeared.
    pub exec: Option<CommandTemplate>,
    /// How many of these commands run at a time.
    pub commands_max: usize,
    /// Whom the collector runs as once its sockets are bound.
    pub user: Option<User>,
    /// File with the number of the process.
    pub pid_file: Option<PathBuf>,
    /// Which exporters' rows go to a tree of their own.
    pub trees: Trees,
    /// How files are compressed.
    pub compression: Compression,
    /// What the operator says of sampling rates.
    pub sampling: SamplingPolicy,
    /// Whose datagrams are taken; empty: everyone's.
    pub allow: Vec<IpNet>,
    /// How long what is remembered of exporters holds.
    pub lifetimes: Lifetimes,
    /// Where connections are accepted, beside the datagrams.
    pub streams: Streams,
    /// How much is held, and for how long.
    pub bounds: Bounds,
    /// Which files may stay.
    pub retention: Retention,
    /// Whether and when hours that are over become one file.
    pub compaction: Compaction,
    /// Where metrics, health and status are served over HTTP.
    pub http: Option<SocketAddr>,
    /// Columns beyond the table: elements an operator gave a name and a type.
    pub elements: Vec<ExtraColumn>,
    /// 0 says warnings, 1 more, 2 everything.
    pub verbosity: u8,
}

/// A flag, or a line of the configuration file, that does not make sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    message: String,
    /// What to do about it.
    pub hint: String,
}

impl UsageError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            source: Source::Listen(addresses(&[], &[])),
            socket: SocketOptions::default(),
            root: PathBuf::from("flows"),
            slot_secs: limits::SLOT_SECS_DEFAULT,
            hierarchy: Hierarchy::default(),
            ident: "none".to_owned(),
            repeat: Vec::new(),
            exec: None,
            commands_max: limits::COMMANDS_RUNNING_DEFAULT,
            user: None,
            pid_file: None,
            trees: Trees::default(),
            compression: Compression::default(),
            sampling: SamplingPolicy::Announced,
            allow: Vec::new(),
            lifetimes: Lifetimes::default(),
            streams: Streams::default(),
            bounds: Bounds::default(),
            retention: Retention::default(),
            compaction: Compaction::default(),
            http: None,
            elements: Vec::new(),
            verbosity: 0,
        }
    }
}

/// Every port on every address; the defaults where a list is empty.
fn addresses(ports: &[u16], bind: &[IpAddr]) -> Vec<SocketAddr> {
    let ports = if ports.is_empty() { &limits::PORTS_DEFAULT } else { ports };
    let any = [IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let bind = if bind.is_empty() { &any } else { bind };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in bind.iter().flat_map(|&ip| ports.iter().map(move |&port| SocketAddr::new(ip, port))) {
        // Port 0 is any free one, so two of it are two.
        if address.port() == 0 || !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

impl Config {
    /// What the configuration file at `path` says, without any flag.
    pub fn of_file(path: impl Into<PathBuf>) -> Result<Self, UsageError> {
        Self::try_from(Args { config: Some(path.into()), ..Args::default() })
    }
}

/// Where values come from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// Long names of the flags typed.
    typed: Vec<String>,
    /// The configuration file, as messages call it.
    file: String,
    lines: BTreeMap<(&'static str, &'static str), Vec<usize>>,
}

impl Origins {
    /// Where a key of a table comes from; `n` counts the tables of a list.
    pub(crate) fn of(&self, table: &'static str, name: &'static str, n: usize) -> String {
        if let Some(flag) = cli::flag(name).filter(|_| self.typed.iter().any(|typed| typed == name)) {
            return format!("flag {}", flag.shortest);
        }
        match self.lines.get(&(table, name)).and_then(|lines| lines.get(n)) {
            Some(line) => format!("{} line {line}", self.file),
            None => "default".to_owned(),
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = UsageError;

    fn try_from(args: Args) -> Result<Self, UsageError> {
        Self::load(args).map(|(config, _)| config)
    }
}

impl Config {
    /// What flags and file come to, and what each value comes from.
    pub(crate) fn load(args: Args) -> Result<(Self, Origins), UsageError> {
        let file = match &args.config {
            Some(path) => read(path)?,
            None => file::File::default(),
        };
        Self::of(args, file)
    }

    /// What flags and a file that was read come to.
    pub(crate) fn of(args: Args, file: file::File) -> Result<(Self, Origins), UsageError> {
        let default = Self::default();
        let is_listening = !args.ports.is_empty() || !args.bind.is_empty();
        let is_accepting = !args.tcp.is_empty() || !args.tls.is_empty();
        let name = args.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let origins = Origins { typed: args.typed.clone(), file: name, lines: file.lines };
        let args = args.over(file.args);
        let streams = match args.capture {
            Some(_) if !is_accepting => Streams::default(),
            _ => streams::streams(&args, &file.bounds)?,
        };
        let rules = file.retention.rules.over(&args)?;
        let trees_kept = file.retention.trees.into_iter().map(|tree| tree.over(&rules)).collect();
        let source = match args.capture {
            Some(_) if is_accepting => {
                return Err(UsageError::new(
                    "`-f` reads a file and listens nowhere, so `--tcp` and `--tls` mean nothing",
                    "leave them out; a file of IPFIX messages is recognised as such",
                ));
            }
            // What the file says of ports is for another time.
            Some(path) if !is_listening => Source::Capture(path),
            Some(_) => {
                return Err(UsageError {
                    message: "`-f` reads a capture and listens nowhere, so `-p` and `-b` mean nothing"
                        .to_owned(),
                    hint: "leave out `-p` and `-b`: datagrams to any port in the capture are decoded"
                        .to_owned(),
                });
            }
            None => Source::Listen(addresses(&args.ports, &args.bind)),
        };
        let (socket, destinations) = match &source {
            Source::Listen(addresses) => (
                sockets::options(args.buffer_bytes, &args.groups, addresses)?,
                repeat::destinations(&args.repeat)?,
            ),
            Source::Capture(_) => (SocketOptions::default(), Vec::new()),
        };
        let user = User::find(args.user.as_deref(), args.group.as_deref())
            .map_err(|error| UsageError::new(error.to_string(), error.hint()))?;
        let sampling = sampling_policy(args.sampling_rate)?;
        // Captures are joined from times years apart.
        let idle_default = match source {
            Source::Listen(_) => Some(limits::SESSION_IDLE_SECS_DEFAULT),
            Source::Capture(_) => None,
        };
        let lifetimes = Lifetimes {
            template_secs: args.template_lifetime_secs.map(i64::from),
            session_idle_secs: args.session_idle_secs.map(i64::from).or(idle_default),
        };
        let sources = match &*args.sources {
            [] => file.sources,
            texts => texts.iter().map(|text| sources::source(text)).collect::<Result<_, _>>()?,
        };
        let own = Tree { root: default.root, ident: default.ident };
        let ident = args.ident.unwrap_or_else(|| own.ident.clone());
        let (home, trees) = sources::trees(args.directory, args.sources_dir, ident, sources, &own)?;
        let config = Self {
            source,
            root: home.root,
            slot_secs: args.slot_secs.map_or(Ok(default.slot_secs), |secs| check_slot(secs.into()))?,
            hierarchy: args.hierarchy.map_or(Ok(default.hierarchy), |n| check_hierarchy(n.into()))?,
            ident: home.ident,
            socket,
            repeat: destinations,
            exec: args.exec.as_deref().map(command).transpose()?,
            commands_max: args.commands_max.map_or(Ok(default.commands_max), |n| check_commands(n as i64))?,
            user,
            pid_file: args.pid_file,
            trees,
            compression: args.compression.as_deref().map_or(Ok(default.compression), Compression::parse)?,
            sampling,
            streams,
            allow: args.allow.iter().map(|text| prefix(text)).collect::<Result<_, _>>()?,
            lifetimes,
            http: args.http.as_deref().map(http_address).transpose()?,
            elements: file.elements,
            bounds: file.bounds,
            retention: Retention { rules, trees: trees_kept },
            compaction: file.compaction,
            verbosity: args.verbosity,
        };
        Ok((config, origins))
    }
}

/// `PORT` of this machine alone, or `ADDR:PORT`.
pub(crate) fn http_address(text: &str) -> Result<SocketAddr, UsageError> {
    let local = || Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), text.parse().ok()?));
    text.parse().ok().or_else(local).ok_or_else(|| UsageError {
        message: format!("`{text}` is neither a port nor an address with one"),
        hint: "for example `--http 8080`, `--http 192.0.2.1:8080` or `--http [::]:8080`".to_owned(),
    })
}

/// A prefix; an address alone is the prefix of itself.
fn prefix(text: &str) -> Result<IpNet, UsageError> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or_else(|| UsageError {
        message: format!("`{text}` is neither an address nor a prefix"),
        hint: "for example `--allow 192.0.2.0/24` or `--allow 2001:db8::1`".to_owned(),
    })
}

impl Args {
    /// Flags, and what `file` says where there is none.
    fn over(self, file: Self) -> Self {
        Self {
            ports: if self.ports.is_empty() { file.ports } else { self.ports },
            bind: if self.bind.is_empty() { file.bind } else { self.bind },
            groups: if self.groups.is_empty() { file.groups } else { self.groups },
            buffer_bytes: self.buffer_bytes.or(file.buffer_bytes),
            repeat: if self.repeat.is_empty() { file.repeat } else { self.repeat },
            exec: self.exec.or(file.exec),
            commands_max: self.commands_max.or(file.commands_max),
            user: self.user.or(file.user),
            group: self.group.or(file.group),
            pid_file: self.pid_file.or(file.pid_file),
            directory: self.directory.or(file.directory),
            slot_secs: self.slot_secs.or(file.slot_secs),
            hierarchy: self.hierarchy.or(file.hierarchy),
            ident: self.ident.or(file.ident),
            sources_dir: self.sources_dir.or(file.sources_dir),
            compression: self.compression.or(file.compression),
            sampling_rate: self.sampling_rate.or(file.sampling_rate),
            allow: if self.allow.is_empty() { file.allow } else { self.allow },
            template_lifetime_secs: self.template_lifetime_secs.or(file.template_lifetime_secs),
            session_idle_secs: self.session_idle_secs.or(file.session_idle_secs),
            tcp: if self.tcp.is_empty() { file.tcp } else { self.tcp },
            tls: if self.tls.is_empty() { file.tls } else { self.tls },
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            tls_ca: self.tls_ca.or(file.tls_ca),
            tls_peers: if self.tls_peers.is_empty() { file.tls_peers } else { self.tls_peers },
            tls_no_client_auth: self.tls_no_client_auth || file.tls_no_client_auth,
            connections_max: self.connections_max.or(file.connections_max),
            connections_per_address_max: self
                .connections_per_address_max
                .or(file.connections_per_address_max),
            handshakes_max: self.handshakes_max.or(file.handshakes_max),
            http: self.http.or(file.http),
            verbosity: self.verbosity.max(file.verbosity),
            ..self
        }
    }
}

/// What the file at `path` says.
fn read(path: &Path) -> Result<file::File, UsageError> {
    let name = path.display();
    let failed = |error: io::Error| {
        let hint = "`-c FILE` names a configuration file; without it flags and defaults hold";
        let reason = match error.kind() {
            io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        UsageError::new(format!("cannot read `{name}`: {reason}"), hint)
    };
    let mut text = String::new();
    let limit = limits::CONFIG_BYTES_MAX;
    let opened = fs::File::open(path).map_err(failed)?;
    opened.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > limit {
        return Err(failed(io::Error::other(format!("it is longer than {limit} octets"))));
    }
    file::parse(&name.to_string(), &text)
}

/// The length of a slot: a file lies wholly in one hour.
fn check_slot(secs: i64) -> Result<u32, UsageError> {
    let max = limits::SLOT_SECS_MAX;
    let fits = |secs: &u32| (1..=max).contains(secs);
    u32::try_from(secs).ok().filter(fits).ok_or_else(|| {
        UsageError::new(
            format!("slot length `{secs}` is not between 1 and {max} seconds"),
            "a file lies wholly in one hour; `-t 300` is the default",
        )
    })
}

/// nfcapd's `-x`.
fn command(text: &str) -> Result<CommandTemplate, UsageError> {
    CommandTemplate::parse(text).map_err(|error| {
        let hint = "for example `-x 'gzip -k %d/%f'`; tokens are %d, %f, %t, %u, %i and %%";
        UsageError::new(error.to_string(), hint)
    })
}

fn check_commands(n: i64) -> Result<usize, UsageError> {
    let max = limits::COMMANDS_RUNNING_MAX;
    usize::try_from(n).ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| {
        UsageError::new(format!("`{n}` commands at a time are not 1 to {max}"), "each of them is a process")
    })
}

/// The number of one of nfdump's hierarchies.
fn check_hierarchy(n: i64) -> Result<Hierarchy, UsageError> {
    let max = NFDUMP_HIERARCHIES.len() - 1;
    let number = u8::try_from(n).ok().filter(|&n| usize::from(n) <= max);
    number.map(Hierarchy::Nfdump).ok_or_else(|| {
        UsageError::new(
            format!("hierarchy `{n}` is not one of nfdump's, 0 to {max}"),
            "`-S 2` is YEAR/MONTH/DAY/HOUR; without it directories are `date=…/hour=…`",
        )
    })
}

/// nfcapd's `-s`: a positive rate where exporters say none, a negative one
/// whatever they say.
fn sampling_policy(rate: Option<i64>) -> Result<SamplingPolicy, UsageError> {
    let Some(rate) = rate else { return Ok(SamplingPolicy::Announced) };
    match u32::try_from(rate.unsigned_abs()) {
        Ok(n @ 1..=limits::SAMPLING_RATE_MAX) if rate > 0 => Ok(SamplingPolicy::Default(n)),
        Ok(n @ 1..=limits::SAMPLING_RATE_MAX) => Ok(SamplingPolicy::Forced(n)),
        _ => Err(UsageError {
            message: format!(
                "sampling rate `{rate}` is not 1 to {0} or -1 to -{0}",
                limits::SAMPLING_RATE_MAX
            ),
            hint: "`-s 1000` where an exporter tells no rate, `-s -1000` whatever it tells".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{StreamBounds, TlsClients};

    #[track_caller]
    fn check(args: &str, expected: Result<&str, &str>) {
        let (args, _) = cli::parse(std::iter::once("flowcapd").chain(args.split_whitespace())).unwrap();
        let config = Config::try_from(args).map(|config| {
            let source = match config.source {
                Source::Listen(addresses) => {
                    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                }
                Source::Capture(path) => path.display().to_string(),
            };
            let (root, slot_secs, ident) = (config.root.display(), config.slot_secs, config.ident);
            format!("{source} {root} {slot_secs} {ident} {:?}", config.sampling)
        });
        assert_eq!(config.as_deref().map_err(ToString::to_string), expected.map_err(ToOwned::to_owned));
    }

    #[track_caller]
    fn check_streams(args: &str, tcp: &str, tls: &str) -> Streams {
        let (args, _) = cli::parse(std::iter::once("flowcapd").chain(args.split_whitespace())).unwrap();
        let streams = Config::try_from(args).unwrap().streams;
        let text = |addresses: &[SocketAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((text(&streams.tcp).as_str(), text(&streams.tls).as_str()), (tcp, tls));
        streams
    }

    #[test]
    fn http_is_of_this_machine_unless_told_otherwise() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(http_address(text).ok(), expected.map(|addr| addr.parse().unwrap()), "{text}");
        };
        check("8080", Some("127.0.0.1:8080"));
        check("192.0.2.1:8080", Some("192.0.2.1:8080"));
        check("[::]:8080", Some("[::]:8080"));
        check("70000", None);
        check("localhost:8080", None);
        assert_eq!(Config::default().http, None);
    }

    #[test]
    fn connections_are_off_unless_asked_for() {
        check_streams("", "", "");
        check_streams("--tcp -w out", "[::]:4739", "");
        check_streams("--tcp 5000 --tcp 127.0.0.1:1 -b ::1", "[::1]:5000 127.0.0.1:1", "");
        let files = "--tls-cert a --tls-key b";
        let streams = check_streams(&format!("--tls {files} --tls-no-client-auth"), "", "[::]:4740");
        assert_eq!(streams.identity.unwrap().clients, TlsClients::Anyone);
        let peers = "--tls-peer r1.example --tls-peer 192.0.2.1 --max-connections 3";
        let streams = check_streams(&format!("--tls [::1]:7 {files} --tls-ca c {peers}"), "", "[::1]:7");
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "tcp = [5, '[::1]:6']\ntls = 7\ntls-cert = 'a'\ntls-key = 'b'\ntls-no-client-auth = true";
        fs::write(&file, text).unwrap();
        let path = file.path().display();
        check_streams(&format!("-c {path}"), "[::]:5 [::1]:6", "[::]:7");
        check_streams(&format!("-c {path} --tcp 9 -b ::1"), "[::1]:9", "[::1]:7");
        check_streams(&format!("-c {path} -f x"), "", "");
        let peers = vec!["r1.example".to_owned(), "192.0.2.1".to_owned()];
        let issuers = PathBuf::from("c");
        assert_eq!(streams.identity.unwrap().clients, TlsClients::Authenticated { issuers, peers });
        assert_eq!(streams.bounds, StreamBounds { connections: 3, ..StreamBounds::default() });
    }

    #[test]
    fn flags_become_a_configuration() {
        check("", Ok("[::]:2055 [::]:4739 [::]:9995 [::]:9996 flows 300 none Announced"));
        check(
            "-p 1 -p 2 -b ::1 -b 127.0.0.1",
            Ok("[::1]:1 [::1]:2 127.0.0.1:1 127.0.0.1:2 flows 300 none Announced"),
        );
        check("-p 1 -p 1 -b ::1", Ok("[::1]:1 flows 300 none Announced"));
        check("-f x.pcap -l out -t 60 -I edge -s -1000", Ok("x.pcap out 60 edge Forced(1000)"));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "port = 7\nbind = '::1'\nwrite-dir = 'd'\nident = 'x'\nslot = 60\nsampling = 10")
            .unwrap();
        let path = file.path().display();
        check(&format!("-c {path}"), Ok("[::1]:7 d 60 x Default(10)"));
        check(&format!("-c {path} -p 8 -w e -t 90 -I y -s -1"), Ok("[::1]:8 e 90 y Forced(1)"));
        check(&format!("-c {path} -f cap"), Ok("cap d 60 x Default(10)"));
        check("-t 0", Err("slot length `0` is not between 1 and 3600 seconds"));
        check("--allow 192.0.2.1/33", Err("`192.0.2.1/33` is neither an address nor a prefix"));
        check("-x %f%q", Err("`%q` stands for nothing"));
        check("-x x --max-commands 0", Err("`0` commands at a time are not 1 to 64"));
        check("-S 9", Err("hierarchy `9` is not one of nfdump's, 0 to 8"));
        check("-s 0", Err("sampling rate `0` is not 1 to 10000000 or -1 to -10000000"));
        check("--tls", Err("`--tls` needs a certificate and its key"));
        check("--tls --tls-cert a --tls-key b", Err("`--tls` needs to know whose certificates to trust"));
        check("--tls-cert a", Err("there are `--tls-…` options, but not `--tls`"));
        let tls = "--tls --tls-cert a --tls-key b --tls-ca c";
        check(
            &format!("{tls} --tls-no-client-auth"),
            Err("`--tls-ca` and `--tls-no-client-auth` contradict each other"),
        );
        check(&format!("{tls} --tls-peer a/b"), Err("`a/b` is neither a host name nor an address"));
        check("--tcp x", Err("`x` is neither a port nor an address with one"));
        check("--tcp --max-connections 0", Err("a bound of 0 lets nobody in"));
        check(
            "-f x --tcp",
            Err("`-f` reads a file and listens nowhere, so `--tcp` and `--tls` mean nothing"),
        );
        check("-f x -p 1", Err("`-f` reads a capture and listens nowhere, so `-p` and `-b` mean nothing"));
    }
}
