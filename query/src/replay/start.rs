//! What was typed after `flowdump replay`, the rows that names, and the socket.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use flow_common::limits::{REPLAY_FLOWS_PER_SEC_DEFAULT, REPLAY_HOLD_MS_MAX};

use super::Version;
use super::encode::{Encoder, Record};
use super::pace::{Clock, Pace};
use super::record::{Rows, Unfit};
use crate::batch::Batch;
use crate::cli::args_of;
use crate::engine::hand_over;
use crate::message::{DONE, FAILED, Failure, PARTIAL, reason, say};
use crate::output::{RowFormat, RowFormatter};
use crate::request::Request;
use crate::{Env, interrupt};

/// Sends stored flows to a collector, as NetFlow or IPFIX over UDP.
#[derive(Debug, Parser)]
#[command(
    name = "flowdump replay",
    max_term_width = 100,
    override_usage = "flowdump replay [OPTIONS] ['FILTER']",
    after_help = "\
Flows keep their times: a message is dated by when its flows were exported. v9 and IPFIX carry every
column that has an element, those flowcapd's configuration defined too, and what stands in `other`; templates are sent again every 100 datagrams.
v5 has no IPv6, no counters beyond 32 bits and no more than its 18 columns. What a version can't
carry is left out, and flows it can't carry are counted.
Exit status: 0 done, 1 failed, 2 usage or filter, 3 some files could not be read, 130 Ctrl-C
"
)]
pub(crate) struct Asked {
    /// File, or directory with everything below it [default: ./flows]
    #[arg(short = 'r', long, value_name = "FILE|DIR")]
    read: Option<String>,

    /// Files in sequence, as of `flowdump -R`
    #[arg(short = 'R', long, value_name = "DIR|FILE:FILE", conflicts_with = "read")]
    range: Option<String>,

    /// Only flows completely inside a window, as of `flowdump -t`
    #[arg(short = 't', long, value_name = "WINDOW", allow_hyphen_values = true)]
    time: Option<String>,

    /// Stop after N flows
    #[arg(short = 'c', long, value_name = "N")]
    count: Option<String>,

    /// Read the filter from a file
    #[arg(short = 'f', long = "filter-file", value_name = "FILTERFILE", conflicts_with = "filter")]
    filter_file: Option<String>,

    /// Collector: a name or an address
    #[arg(short = 'H', long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,

    /// Port of the collector
    #[arg(short = 'p', long, value_name = "PORT", default_value = "9995")]
    port: String,

    /// Version: 5, 9 or 10 (IPFIX)
    #[arg(short = 'v', long = "netflow-version", value_name = "VERSION", default_value = "9")]
    version: String,

    /// Flows a second; 0 is as fast as it goes [default: 20000]
    #[arg(long, value_name = "N", conflicts_with = "speed")]
    rate: Option<String>,

    /// At the pace flows were received, N times as fast: 1 is in real time
    #[arg(short = 'z', long, value_name = "N")]
    speed: Option<String>,

    /// Address to send from
    #[arg(short = 'S', long = "source", value_name = "ADDR")]
    source: Option<String>,

    /// Only IPv4 addresses of the collector's name
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Only IPv6 addresses of the collector's name
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Nothing about what was sent
    #[arg(short = 'q', long)]
    quiet: bool,

    /// Times in UTC instead of the local zone
    #[arg(long)]
    utc: bool,

    /// Which flows, for example 'proto tcp and dst port 443'
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

/// Sends flows and returns the exit code.
pub(crate) fn replay(
    asked: &Asked,
    env: Env,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    let version = version(&asked.version)?;
    let pace = pace(asked)?;
    let request = Request::new(args_of(words(asked))?, env)?;
    let target = target(asked)?;
    let from = source(asked)?;
    let socket = socket(from, target).map_err(|error| Failure::Failed {
        message: format!("can't send to `{target}`: {}", reason(&error)),
        hint: None,
    })?;
    let sender = Sender {
        encoder: Encoder::new(version),
        clock: Clock::new(pace),
        started: None,
        socket,
        datagrams: Vec::new(),
        sent: Sent::default(),
    };
    let shared = Arc::new(Shared { version, unfit: Mutex::default() });
    let replayed = Replayed { shared, sender: Mutex::new(sender) };
    let handed = hand_over(&request, &replayed, stderr);
    let mut sender = lock(&replayed.sender);
    let flushed = sender.flush();
    let sent = &sender.sent;
    let is_partial = match handed {
        Ok(is_partial) => is_partial,
        Err(Failure::Write(error)) => return Err(cant_send(target, &error)),
        Err(failure) => return Err(failure),
    };
    flushed.map_err(|error| cant_send(target, &error))?;
    interrupt::check()?;
    if !asked.quiet {
        writeln!(stdout, "flows: {}, datagrams: {}, sent to `{target}`", sent.flows, sent.datagrams)?;
    }
    let unfit = lock(&replayed.shared.unfit);
    if !unfit.is_empty() {
        let kinds = unfit.iter().map(|(unfit, n)| format!("{n} {}", unfit.what()));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        say(stderr, "warning", &format!("flows left out: {kinds}"));
    }
    if sent.refused > 0 {
        let message = format!("{} datagrams were refused: nobody listened at `{target}`", sent.refused);
        say(stderr, "error", &message);
        return Ok(FAILED);
    }
    Ok(if is_partial { PARTIAL } else { DONE })
}

fn cant_send(target: SocketAddr, error: &io::Error) -> Failure {
    Failure::Failed { message: format!("can't send to `{target}`: {}", reason(error)), hint: None }
}

/// What a question about the same rows would be.
fn words(asked: &Asked) -> Vec<String> {
    let options = [
        ("-r", &asked.read),
        ("-R", &asked.range),
        ("-t", &asked.time),
        ("-c", &asked.count),
        ("-f", &asked.filter_file),
    ];
    let options = options.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value.clone()?]));
    let mut words: Vec<String> = options.flatten().collect();
    words.extend(asked.utc.then(|| "--utc".to_owned()));
    words.extend(["--".to_owned()].into_iter().chain(asked.filter.iter().cloned()));
    words
}

fn version(text: &str) -> Result<Version, Failure> {
    match text {
        "5" => Ok(Version::V5),
        "9" => Ok(Version::V9),
        "10" | "ipfix" => Ok(Version::Ipfix),
        _ => Err(Failure::usage_hint(format!("`-v {text}` is no version flows are sent as"), "5, 9 or 10")),
    }
}

fn pace(asked: &Asked) -> Result<Pace, Failure> {
    if let Some(text) = &asked.speed {
        let speed = text.parse::<f64>().ok().filter(|speed| speed.is_finite() && *speed > 0.0);
        return speed.map(Pace::Recorded).ok_or_else(|| {
            Failure::usage_hint(format!("`-z {text}` is no speed"), "1 is in real time, 10 ten times as fast")
        });
    }
    let Some(text) = &asked.rate else { return Ok(Pace::Flows(REPLAY_FLOWS_PER_SEC_DEFAULT)) };
    let rate = text.parse().map_err(|_| Failure::usage(format!("`{text}` is not a number for `--rate`")));
    rate.map(Pace::Flows)
}

fn target(asked: &Asked) -> Result<SocketAddr, Failure> {
    let port: u16 = asked
        .port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Failure::usage(format!("`-p {}` is no port", asked.port)))?;
    let host = &asked.host;
    let failed = |reason: String| Failure::Failed {
        message: format!("can't find the collector `{host}`: {reason}"),
        hint: None,
    };
    let found = (host.as_str(), port).to_socket_addrs().map_err(|error| failed(reason(&error)))?;
    let is_wanted = |addr: &SocketAddr| !(asked.ipv4 && addr.is_ipv6() || asked.ipv6 && addr.is_ipv4());
    found.into_iter().find(is_wanted).ok_or_else(|| failed("it has no such address".to_owned()))
}

fn source(asked: &Asked) -> Result<Option<IpAddr>, Failure> {
    let parse = |text: &String| {
        text.parse().map_err(|_| Failure::usage(format!("`-S {text}` is no address to send from")))
    };
    asked.source.as_ref().map(parse).transpose()
}

fn socket(from: Option<IpAddr>, target: SocketAddr) -> io::Result<UdpSocket> {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((from.unwrap_or(any), 0))?;
    socket.connect(target)?;
    Ok(socket)
}

/// What threads that make records share with the one that sends them.
struct Shared {
    version: Version,
    /// Rows that no record was made of.
    unfit: Mutex<BTreeMap<Unfit, u64>>,
}

/// Rows that are being sent, as a format of the engine whose text are packed records.
struct Replayed {
    shared: Arc<Shared>,
    sender: Mutex<Sender>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RowFormat for Replayed {
    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(Maker(Arc::clone(&self.shared)))
    }

    fn join(&self, _rows_before: u64, text: &mut Vec<u8>, _out: &mut dyn Write) -> io::Result<()> {
        let mut sender = lock(&self.sender);
        let mut left = &text[..];
        while let Some(record) = Record::unpack(&mut left) {
            if interrupt::is_asked() {
                return Ok(());
            }
            sender.send(record)?;
        }
        Ok(())
    }
}

struct Maker(Arc<Shared>);

impl RowFormatter for Maker {
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let rows = Rows::new(batch, self.0.version);
        for row in 0..batch.rows() {
            match rows.record(row) {
                Ok(record) => record.pack(out),
                Err(why) => *lock(&self.0.unfit).entry(why).or_default() += 1,
            }
        }
    }
}

#[derive(Debug, Default)]
struct Sent {
    flows: u64,
    datagrams: u64,
    refused: u64,
}

/// Sends records when they are due.
struct Sender {
    encoder: Encoder,
    clock: Clock,
    started: Option<Instant>,
    socket: UdpSocket,
    datagrams: Vec<Vec<u8>>,
    sent: Sent,
}

impl Sender {
    fn send(&mut self, record: Record) -> io::Result<()> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let due = self.clock.next(record.received);
        let early = due.saturating_sub(started.elapsed());
        if early > Duration::from_millis(REPLAY_HOLD_MS_MAX) {
            self.flush()?;
        }
        // Shorter sleeps are longer than asked for.
        if early > Duration::from_millis(1) && interrupt::wait(early) {
            return Ok(());
        }
        self.encoder.push(record, &mut self.datagrams);
        self.sent.flows += 1;
        self.send_datagrams()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush(&mut self.datagrams);
        self.send_datagrams()
    }

    fn send_datagrams(&mut self) -> io::Result<()> {
        for datagram in self.datagrams.drain(..) {
            // A refusal is that of the datagram before; this one is not yet sent.
            while let Err(error) = self.socket.send(&datagram) {
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => self.sent.refused += 1,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                }
            }
            self.sent.datagrams += 1;
        }
        Ok(())
    }
}
