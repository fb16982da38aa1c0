//! Command line of `flowcapd`: definitions and help only.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  flowcapd                          listen on 2055, 4739, 9995 and 9996, write to ./flows
  flowcapd -p 9995 -w /var/flows    one port, another directory
  flowcapd -p 9995 -E -l .          print every record as it arrives
  flowcapd -f export.pcap -w out    decode a capture, or an IPFIX file, instead of listening
  flowcapd -n edge1,192.0.2.1,/var/flows/edge1 -n lab,198.51.100.0/24,/var/flows/lab
                                    sources with a tree of their own, and nobody else
  flowcapd -c flowcap.toml          settings from a file
  flowcapd check -c flowcap.toml    what is wrong with them, and what they come to
  flowcapd status -w /var/flows     how the collector that writes there goes
  flowcapd --tcp                    IPFIX over TCP on 4739 as well
  flowcapd --tls --tls-cert us.pem --tls-key us.key --tls-ca exporters.pem
                                    over TLS on 4740, from exporters with a certificate

NetFlow v1, v5, v7, v9 and IPFIX are told apart by their version on every port, over
IPv4 and IPv6. Files appear whole, one per slot, as
  DIR/date=2026-11-21/hour=12/flowcap.202611211230.parquet   (UTC)
and are read with `flowdump -r DIR`, or by anything that reads Parquet.

A configuration file has the long names of the options for keys, names sources,
and gives elements without a column one of their own, with a name that
`flowdump` knows:
  port = [2055, 4739]
  write-dir = '/var/flows'
  [[source]]
  ident = 'edge1'
  prefix = ['192.0.2.1', '2001:db8::/64']
  directory = '/var/flows/edge1'
  [[element]]
  pen = 35632
  id = 180
  name = 'http_url'
  type = 'string'

SIGINT and SIGTERM publish what has come so far and end the program; every counter
is then printed on stderr. SIGHUP reads the configuration file again and takes over
what can be taken over at once; SIGUSR1 closes the file being written and goes on
with another.

Exit status: 0 done, 1 failed, 2 usage.";

/// Collects NetFlow v1, v5, v7, v9 and IPFIX into rotating Parquet files.
///
/// Nothing an exporter sent is thrown away: elements without a column of their
/// own are kept as they came, in the column `other`.
#[derive(Debug, Parser)]
#[command(name = "flowcapd", version, max_term_width = 100, after_help = EXAMPLES)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do instead of collecting.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say what is wrong with the configuration, or what it comes to, and end
    Check,
    /// Show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make one file, large and well ordered, of those of each hour that is over, and end
    Compact {
        /// Say which hours would be compacted, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete the files that may go by `--max-age`, `--max-size` and `--min-free`, and end
    Expire {
        /// Say what would be deleted, and delete nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Ask the collector that runs, found by `-w`, `-c` or `--http`, how it goes
    Status {
        /// As JSON, with every exporter and counter
        #[arg(long)]
        json: bool,
    },
}

/// What to show of the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Show what holds as a file, each value with where it comes from
    Dump,
    /// Show a file with every key, its meaning and its default
    Example,
}

/// What was typed: the flags, and what to do with them; without a command: collect.
pub fn parse(
    typed: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<(Args, Option<Command>), clap::Error> {
    let matches = definitions().try_get_matches_from(typed)?;
    let CommandLine { mut args, command } = CommandLine::from_arg_matches(&matches)?;
    args.typed = flags_typed(&matches);
    Ok((args, command))
}

/// All that can be typed: for manual pages and shells.
pub fn whole_command() -> clap::Command {
    CommandLine::command().disable_help_subcommand(true)
}

/// All flags, before a command as behind it.
fn definitions() -> clap::Command {
    CommandLine::command().mut_args(|flag| flag.global(true))
}

/// Long names of the flags that were typed.
fn flags_typed(matches: &ArgMatches) -> Vec<String> {
    let is_typed = |flag: &&clap::Arg| {
        let id = flag.get_id().as_str();
        matches!(matches.try_contains_id(id), Ok(true))
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let definitions = definitions();
    let typed = definitions.get_arguments().filter(is_typed);
    typed.filter_map(clap::Arg::get_long).map(ToOwned::to_owned).collect()
}

/// A flag, for whoever speaks of it.
pub(crate) struct Flag {
    /// `-p`, or the long name where there is no short one.
    pub(crate) shortest: String,
    /// Its line of the help.
    pub(crate) help: String,
}

/// The flag of this long name.
pub(crate) fn flag(long: &str) -> Option<Flag> {
    let definitions = definitions();
    let flag = definitions.get_arguments().find(|flag| flag.get_long() == Some(long))?;
    let shortest = flag.get_short().map_or_else(|| format!("--{long}"), |short| format!("-{short}"));
    Some(Flag { shortest, help: flag.get_help().map(ToString::to_string).unwrap_or_default() })
}

/// The flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Read settings from this TOML file; flags win over it
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Listen on this UDP port; repeatable [default: 2055 4739 9995 9996]
    #[arg(short = 'p', long = "port", value_name = "PORT", action = ArgAction::Append)]
    pub(crate) ports: Vec<u16>,

    /// Listen on this local address; repeatable [default: all, IPv4 and IPv6]
    #[arg(short = 'b', long = "bind", value_name = "ADDR", action = ArgAction::Append)]
    pub(crate) bind: Vec<IpAddr>,

    /// Receive what is sent to this multicast group, on the interface of this name or IPv4 address;
    /// repeatable [default interface: as routes say]
    #[arg(short = 'J', long = "join", value_name = "GROUP[%IFACE]", action = ArgAction::Append)]
    pub(crate) groups: Vec<String>,

    /// Receive buffer of each UDP socket; beyond net.core.rmem_max it needs CAP_NET_ADMIN
    /// [default: 16777216, or what the kernel grants]
    #[arg(short = 'B', long = "buffer", value_name = "BYTES")]
    pub(crate) buffer_bytes: Option<usize>,

    /// Write files below this directory; `-l` is the same [default: flows]
    #[arg(short = 'w', short_alias = 'l', long = "write-dir", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Length of a slot, and so of a file, in seconds; slots are aligned to the epoch [default: 300]
    #[arg(short = 't', long = "slot", value_name = "SECS")]
    pub(crate) slot_secs: Option<u32>,

    /// Put files into nfdump's directories, UTC: 0 none, 1 %Y/%m/%d, 2 %Y/%m/%d/%H, 3 %Y/%W/%u,
    /// 4 %Y/%W/%u/%H, 5 %Y/%j, 6 %Y/%j/%H, 7 %Y-%m-%d, 8 %Y-%m-%d/%H
    /// [default: date=%Y-%m-%d/hour=%H]
    #[arg(short = 'S', long = "hierarchy", value_name = "N")]
    pub(crate) hierarchy: Option<u8>,

    /// Name of this collector, written into every file [default: none]
    #[arg(short = 'I', long = "ident", value_name = "IDENT")]
    pub(crate) ident: Option<String>,

    /// Write what these addresses send to a tree of their own; repeatable, the first that matches
    /// is taken. Without `-w` and `-M`, take datagrams from nobody else
    #[arg(short = 'n', long = "source", value_name = "IDENT,ADDR[/BITS][;ADDR],DIR",
        action = ArgAction::Append)]
    pub(crate) sources: Vec<String>,

    /// Write what each other exporter sends to a directory of its own below this one, named by its
    /// address
    #[arg(short = 'M', long = "sources-dir", value_name = "DIR")]
    pub(crate) sources_dir: Option<PathBuf>,

    /// Compress files: zstd, zstd:LEVEL, lz4 or none [default: zstd, level 1]
    #[arg(short = 'z', long = "compression", value_name = "KIND", num_args = 0..=1, require_equals = true,
        default_missing_value = "zstd")]
    pub(crate) compression: Option<String>,

    /// Sampling rate of exporters that tell none; a negative one overrides what they tell
    #[arg(short = 's', long = "sampling", value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) sampling_rate: Option<i64>,

    /// Take datagrams from these addresses only; repeatable [default: from all]
    #[arg(long = "allow", value_name = "PREFIX", action = ArgAction::Append)]
    pub(crate) allow: Vec<String>,

    /// A template expires when it has not come again for so long [default: three of its refresh
    /// intervals, at least 1800]
    #[arg(long = "template-lifetime", value_name = "SECS")]
    pub(crate) template_lifetime_secs: Option<u32>,

    /// Forget an exporter that has been silent for so long [default: 604800, a week; with `-f` never]
    #[arg(long = "session-idle", value_name = "SECS")]
    pub(crate) session_idle_secs: Option<u32>,

    /// Receive IPFIX over TCP, too; repeatable [default port: 4739]
    #[arg(long = "tcp", value_name = "[ADDR:]PORT", num_args = 0..=1, default_missing_value = "4739",
        action = ArgAction::Append)]
    pub(crate) tcp: Vec<String>,

    /// Receive IPFIX over TLS, too; repeatable [default port: 4740]
    #[arg(long = "tls", value_name = "[ADDR:]PORT", num_args = 0..=1, default_missing_value = "4740",
        action = ArgAction::Append)]
    pub(crate) tls: Vec<String>,

    /// Certificate of this collector, and those between it and its issuer: PEM
    #[arg(long = "tls-cert", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Key of that certificate: PEM
    #[arg(long = "tls-key", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Take exporters with a certificate of these issuers only: PEM
    #[arg(long = "tls-ca", value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Of those, take only whose certificate has this host name or address as a subject
    /// alternative name; repeatable [default: all]
    #[arg(long = "tls-peer", value_name = "NAME", action = ArgAction::Append)]
    pub(crate) tls_peers: Vec<String>,

    /// Take exporters without a certificate: anyone may then send
    #[arg(long = "tls-no-client-auth")]
    pub(crate) tls_no_client_auth: bool,

    /// TCP and TLS connections open at a time [default: 2048]
    #[arg(long = "max-connections", value_name = "N")]
    pub(crate) connections_max: Option<usize>,

    /// Those of one address [default: 64]
    #[arg(long = "max-connections-per-address", value_name = "N")]
    pub(crate) connections_per_address_max: Option<usize>,

    /// TLS handshakes under way at a time [default: 64]
    #[arg(long = "max-handshakes", value_name = "N")]
    pub(crate) handshakes_max: Option<usize>,

    /// Send every datagram on to this collector, too, from its exporter's address where CAP_NET_RAW
    /// allows that; repeatable [default port: 9995]
    #[arg(short = 'R', long = "repeat", value_name = "HOST[/PORT]", action = ArgAction::Append)]
    pub(crate) repeat: Vec<String>,

    /// Run this command for each file that has appeared, without a shell: %f is the file below %d,
    /// %t and %u the start of its slot (202611211230, and seconds since 1970), %i the ident
    #[arg(short = 'x', long = "exec", value_name = "COMMAND")]
    pub(crate) exec: Option<String>,

    /// Of these commands, run so many at a time [default: 1]
    #[arg(long = "max-commands", value_name = "N")]
    pub(crate) commands_max: Option<usize>,

    /// Delete files older than this, by their names: `30d`
    #[arg(long = "max-age", value_name = "AGE")]
    pub(crate) max_age: Option<String>,

    /// Delete the oldest files of a tree that takes more disk space than this: `500GB`
    #[arg(long = "max-size", value_name = "SIZE")]
    pub(crate) max_size: Option<String>,

    /// Delete the oldest files while less of the disk is free than this: `20GB` or `10%`
    #[arg(long = "min-free", value_name = "SIZE")]
    pub(crate) min_free: Option<String>,

    /// Become this user once the sockets are bound
    #[arg(short = 'u', long = "user", value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Become a member of this group, and of no other [default: that of the user]
    #[arg(short = 'g', long = "group", value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// Write the number of the process to this file once it collects, and remove it at the end
    #[arg(short = 'P', long = "pidfile", value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,

    /// Serve metrics, health and status over HTTP; on 127.0.0.1 unless an address is given
    /// [default: off]
    #[arg(long = "http", value_name = "[ADDR:]PORT")]
    pub(crate) http: Option<String>,

    /// Decode a pcap or pcapng file, or one of IPFIX messages, instead of listening
    #[arg(short = 'f', long = "read-pcap", value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,

    /// Print every flow record on stdout as it is decoded
    #[arg(short = 'E', long = "echo")]
    pub echo: bool,

    /// Say more; twice: say everything
    #[arg(short = 'v', long = "verbose", action = ArgAction::Count)]
    pub(crate) verbosity: u8,

    /// Long names of those that were typed.
    #[arg(skip)]
    pub(crate) typed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use flow_common::limits;

    use super::*;

    #[test]
    fn flags_stand_before_a_command_as_behind_it() {
        let check = |typed: &str, is_check: bool| {
            let (args, command) = parse(typed.split(' ')).unwrap();
            assert_eq!((args.ports, args.ident.as_deref()), (vec![7], Some("x")), "{typed}");
            assert_eq!(args.typed, ["port", "ident"], "{typed}");
            assert_eq!(matches!(command, Some(Command::Check)), is_check, "{typed}");
        };
        check("flowcapd -p 7 -I x", false);
        check("flowcapd -p 7 -I x check", true);
        check("flowcapd check -p 7 -I x", true);
        check("flowcapd -I x check -p 7", true);
    }

    #[test]
    fn definitions_are_sound() {
        definitions().debug_assert();
        assert_eq!(limits::SLOT_SECS_DEFAULT, 300, "the help says so");
        assert_eq!(limits::SOCKET_BUFFER_BYTES, 16_777_216, "and so");
        let ports = (limits::TCP_PORT_DEFAULT, limits::TLS_PORT_DEFAULT);
        let bounds = (limits::CONNECTIONS_MAX, limits::CONNECTIONS_PER_ADDRESS_MAX, limits::HANDSHAKES_MAX);
        assert_eq!((ports, bounds), ((4739, 4740), (2_048, 64, 64)), "and so");
    }
}
