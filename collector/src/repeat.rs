//! Repeating datagrams to other collectors (`-R`), octet by octet.
//!
//! The receive thread copies them into a bounded queue and never waits; what does not
//! fit is dropped and counted. Connections are not repeated: they have one end.

pub(crate) mod target;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, io};

use flow_common::limits;
use ipnet::IpNet;

use self::target::Target;
use crate::datagram::{Block, Transport};
use crate::metrics::Metrics;

/// How soon the end of the collector is noticed while nothing is looked up.
const TICK: Duration = Duration::from_millis(200);

/// Another collector: its name or address, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.port)
    }
}

impl Destination {
    fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// Its addresses as of now; asks the system's resolver, which may take its time.
    fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if found.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(found) }
    }
}

/// Repeating could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepeatError {
    #[error("cannot look up `{0}`: {1}")]
    Name(Destination, io::Error),
    #[error("cannot send to `{0}`: {1}")]
    Socket(Destination, io::Error),
    #[error("`{0}` is this collector: what it repeats would come back for ever")]
    Itself(Destination),
}

impl RepeatError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Name(..) => "check the name, or give an address: `-R 192.0.2.2/9995`",
            Self::Socket(..) => "is there a route to it?",
            Self::Itself(_) => "choose the address and port of another one",
        }
    }
}

/// Datagrams of one burst, copied.
#[derive(Debug, Default)]
struct Burst {
    payloads: Vec<u8>,
    /// Where each payload ends, and who sent it.
    datagrams: Vec<(usize, SocketAddr)>,
}

impl Burst {
    fn new(block: &Block) -> Self {
        let mut burst = Self { payloads: Vec::with_capacity(block.bytes()), datagrams: Vec::new() };
        for datagram in block.iter().filter(|datagram| datagram.transport == Transport::Udp) {
            burst.payloads.extend_from_slice(datagram.payload);
            burst.datagrams.push((burst.payloads.len(), datagram.peer));
        }
        burst
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let mut start = 0;
        self.datagrams
            .iter()
            .map(move |&(end, peer)| (&self.payloads[std::mem::replace(&mut start, end)..end], peer))
    }
}

/// Octets of bursts that are queued.
#[derive(Debug, Default)]
struct Queued(AtomicUsize);

/// Hands datagrams to the thread that repeats them.
#[derive(Debug)]
pub(crate) struct Repeater {
    sender: Sender<(Burst, usize)>,
    queued: Arc<Queued>,
    n_targets: u64,
    metrics: Arc<Metrics>,
}

impl Repeater {
    /// Hands on the datagrams of a block; never waits.
    pub(crate) fn offer(&self, block: &Block) {
        let bytes = block.bytes();
        if block.len() == 0 {
            return;
        }
        if self.queued.0.load(Ordering::Relaxed).saturating_add(bytes) > limits::REPEAT_QUEUE_BYTES_MAX {
            self.metrics.datagrams_repeat_dropped.add(block.len() as u64 * self.n_targets);
            return;
        }
        self.queued.0.fetch_add(bytes, Ordering::Relaxed);
        // It ends when this does, or in a panic of its own.
        let _ = self.sender.send((Burst::new(block), bytes));
    }
}

/// The thread that repeats datagrams.
#[derive(Debug)]
pub(crate) struct Repeat {
    targets: Vec<Target>,
    /// What names stood for at the last look.
    addresses: Arc<Addresses>,
    bursts: Receiver<(Burst, usize)>,
    queued: Arc<Queued>,
    /// Who is listened to; empty: everyone.
    allow: Vec<IpNet>,
    metrics: Arc<Metrics>,
    quiet_until: Option<Instant>,
}

/// Addresses of the destinations, in their order; the first of each is used.
#[derive(Debug)]
struct Addresses(Mutex<Vec<Vec<SocketAddr>>>);

/// The thread that looks names up again, so that the other one never waits for it.
#[derive(Debug)]
pub(crate) struct LookUp {
    destinations: Vec<Destination>,
    addresses: Weak<Addresses>,
}

/// All that repeats, its sockets open.
#[derive(Debug)]
pub(crate) struct Repeating {
    pub(crate) repeater: Repeater,
    pub(crate) thread: Repeat,
    /// Where destinations have names.
    pub(crate) look_up: Option<LookUp>,
}

/// Opens the sockets for all destinations, while privileges last. `listeners` are those
/// of this collector.
pub(crate) fn repeat(
    destinations: &[Destination],
    listeners: &[SocketAddr],
    allow: Vec<IpNet>,
    metrics: Arc<Metrics>,
) -> Result<Repeating, RepeatError> {
    let mut targets = Vec::new();
    let mut addresses = Vec::new();
    for destination in destinations {
        let found = destination.resolve().map_err(|error| RepeatError::Name(destination.clone(), error))?;
        if is_own(found[0], listeners) {
            return Err(RepeatError::Itself(destination.clone()));
        }
        let target = Target::open(found[0]);
        targets.push(target.map_err(|error| RepeatError::Socket(destination.clone(), error))?);
        addresses.push(found);
    }
    let addresses = Arc::new(Addresses(Mutex::new(addresses)));
    let has_names = destinations.iter().any(Destination::is_name);
    let look_up = has_names
        .then(|| LookUp { destinations: destinations.to_vec(), addresses: Arc::downgrade(&addresses) });
    let (sender, bursts) = channel();
    let queued = Arc::new(Queued::default());
    let n_targets = targets.len() as u64;
    let repeater = Repeater { sender, queued: Arc::clone(&queued), n_targets, metrics: Arc::clone(&metrics) };
    let thread = Repeat { targets, addresses, bursts, queued, allow, metrics, quiet_until: None };
    Ok(Repeating { repeater, thread, look_up })
}

/// Whether datagrams sent to `target` come in here.
fn is_own(target: SocketAddr, listeners: &[SocketAddr]) -> bool {
    let is_local = || std::net::UdpSocket::bind((target.ip(), 0)).is_ok();
    let reaches = |listener: &SocketAddr| {
        listener.port() == target.port() && (listener.ip().is_unspecified() || listener.ip() == target.ip())
    };
    !target.ip().is_multicast() && listeners.iter().any(reaches) && is_local()
}

impl Repeat {
    /// Whether sources can be kept.
    pub(crate) fn keeps_sources(&self) -> bool {
        self.targets.iter().all(Target::keeps_sources)
    }

    /// Repeats until nobody offers any more.
    pub(crate) fn run(mut self) {
        while let Ok((burst, bytes)) = self.bursts.recv() {
            self.follow_names();
            for (payload, peer) in burst.iter().filter(|(_, peer)| is_allowed(&self.allow, peer.ip())) {
                for target in &self.targets {
                    match target.send(payload, peer) {
                        Ok(()) => self.metrics.datagrams_repeated.add(1),
                        Err(error) => {
                            self.metrics.datagrams_repeat_failed.add(1);
                            warn(
                                &mut self.quiet_until,
                                &format!("cannot repeat to {}: {error}", target.addr()),
                            );
                        }
                    }
                }
            }
            self.queued.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Sends to where names point now.
    fn follow_names(&mut self) {
        let addresses = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (target, found) in self.targets.iter_mut().zip(&*addresses) {
            if found.contains(&target.addr()) {
                continue;
            }
            // The raw socket is of one family, and privileges may be gone.
            let same = found.iter().find(|addr| addr.is_ipv4() == target.addr().is_ipv4());
            let Some(&addr) = same.or(found.first()) else { continue };
            let before = target.addr();
            match target.turn_to(addr) {
                Ok(()) => tracing::info!("repeating to {addr}, no longer to {before}"),
                Err(error) => warn(&mut self.quiet_until, &format!("cannot repeat to {addr}: {error}")),
            }
        }
    }
}

impl LookUp {
    /// Looks names up again and again until nobody repeats any more. One that is not
    /// found keeps its address.
    pub(crate) fn run(self) {
        let mut looked_at = Instant::now();
        while self.addresses.strong_count() > 0 {
            std::thread::sleep(TICK);
            if looked_at.elapsed() < Duration::from_secs(limits::RESOLVE_SECS) {
                continue;
            }
            looked_at = Instant::now();
            self.look();
        }
    }

    fn look(&self) {
        for (index, destination) in self.destinations.iter().enumerate().filter(|(_, one)| one.is_name()) {
            match (destination.resolve(), self.addresses.upgrade()) {
                (Ok(found), Some(addresses)) => {
                    let mut addresses = addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
                    addresses[index] = found;
                }
                (Err(error), _) => {
                    tracing::warn!("cannot look up `{}`: {error}; it keeps its address", destination.host);
                }
                (Ok(_), None) => {}
            }
        }
    }
}

fn is_allowed(allow: &[IpNet], peer: IpAddr) -> bool {
    allow.is_empty() || allow.iter().any(|prefix| prefix.contains(&peer.to_canonical()))
}

/// At most one line a minute; the counters are exact.
fn warn(quiet_until: &mut Option<Instant>, line: &str) {
    let now = Instant::now();
    if quiet_until.is_none_or(|until| now >= until) {
        tracing::warn!("{line}");
        *quiet_until = now.checked_add(Duration::from_secs(limits::LOG_INTERVAL_SECS.unsigned_abs()));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::net::{Ipv6Addr, UdpSocket};
    use std::process::Command;

    use flow_common::time::Timestamp;

    use super::*;
    use crate::datagram::{Datagram, ListenerId};

    fn block(datagrams: &[(&[u8], SocketAddr)]) -> Block {
        let mut block = Block::new(Timestamp(0));
        for &(payload, peer) in datagrams {
            let (listener, transport, received_at) = (ListenerId(0), Transport::Udp, Timestamp(0));
            block.push(Datagram { payload, peer, listener, transport, received_at });
        }
        block
    }

    fn at(text: &str) -> Destination {
        let addr: SocketAddr = text.parse().unwrap();
        Destination { host: addr.ip().to_string(), port: addr.port() }
    }

    /// Sockets that wait for what is repeated to them.
    fn collectors(addresses: &[&str]) -> (Vec<UdpSocket>, Vec<Destination>) {
        let sockets = addresses.iter().map(|addr| {
            let socket = UdpSocket::bind(addr).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        });
        let sockets: Vec<_> = sockets.collect();
        let destinations = sockets.iter().map(|socket| at(&socket.local_addr().unwrap().to_string()));
        let destinations = destinations.collect();
        (sockets, destinations)
    }

    fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (n, peer) = socket.recv_from(&mut buffer).unwrap();
        buffer.truncate(n);
        (buffer, peer)
    }

    #[test]
    fn datagrams_reach_all_collectors_and_their_source_is_kept_by_who_may() {
        let (sockets, destinations) = collectors(&["127.0.0.1:0", "[::1]:0"]);
        let metrics = Arc::new(Metrics::default());
        let allow = vec!["127.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let Repeating { repeater, thread, look_up } =
            repeat(&destinations, &[], allow, Arc::clone(&metrics)).unwrap();
        assert!(look_up.is_none(), "there is no name to look up");
        let is_kept = thread.keeps_sources();
        let big = vec![7; 60_000];
        let mapped = SocketAddr::new(IpAddr::V6("::ffff:127.0.0.8".parse::<Ipv6Addr>().unwrap()), 4_001);
        let sent: [(&[u8], SocketAddr); 5] = [
            (b"one", "127.0.0.9:4000".parse().unwrap()),
            (b"", mapped),
            (&big, "127.0.0.9:4000".parse().unwrap()),
            (b"not allowed", "192.0.2.1:4002".parse().unwrap()),
            (b"six", "[2001:db8::9]:4003".parse().unwrap()),
        ];
        std::thread::scope(|scope| {
            scope.spawn(|| thread.run());
            repeater.offer(&block(&sent[..2]));
            repeater.offer(&block(&[]));
            repeater.offer(&block(&sent[2..]));
            drop(repeater);
        });
        for (socket, kept) in
            sockets.iter().zip([["127.0.0.9:4000", "127.0.0.8:4001", "127.0.0.9:4000", ""], [""; 4]])
        {
            for (payload, peer) in [0, 1, 2, 4].map(|index| sent[index].0).iter().zip(kept) {
                let (found, from) = received(socket);
                assert!(found == *payload, "{} octets for {}", found.len(), payload.len());
                if is_kept && !peer.is_empty() {
                    assert_eq!(from.to_string(), peer);
                }
            }
        }
        assert_eq!((metrics.datagrams_repeated.get(), metrics.datagrams_repeat_failed.get()), (8, 0));
        if !is_kept {
            println!("skipped: sources can't be kept without CAP_NET_RAW");
        }
    }

    /// The test before, by who is root of a network of its own: that takes no privileges.
    #[test]
    fn sources_are_kept_in_a_network_of_our_own() {
        let name = "repeat::tests::datagrams_reach_all_collectors_and_their_source_is_kept_by_who_may";
        let test = std::env::current_exe().unwrap();
        let unshare = |command: &[&OsStr]| Command::new("unshare").arg("-Urn").args(command).output();
        if !unshare(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
            println!("skipped: this system lets nobody make networks");
            return;
        }
        let script = r#"ip link set lo up && exec "$0" --exact "$1" --nocapture"#;
        let output = unshare(&["sh".as_ref(), "-c".as_ref(), script.as_ref(), test.as_ref(), name.as_ref()]);
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        assert!(!said.contains("skipped: "), "{said}");
    }

    #[test]
    fn what_does_not_fit_the_queue_is_dropped_and_counted() {
        let (_sockets, destinations) = collectors(&["127.0.0.1:0", "127.0.0.1:0"]);
        let metrics = Arc::new(Metrics::default());
        let Repeating { repeater, thread, .. } =
            repeat(&destinations, &[], Vec::new(), Arc::clone(&metrics)).unwrap();
        let payload = [0; 10_000];
        let peer = "127.0.0.9:4000".parse().unwrap();
        let n_fitting = limits::REPEAT_QUEUE_BYTES_MAX / block(&[(&payload, peer)]).bytes();
        (0..n_fitting + 3).for_each(|_| repeater.offer(&block(&[(&payload, peer)])));
        assert_eq!(metrics.datagrams_repeat_dropped.get(), 6, "3 to each of two");
        drop(repeater);
        thread.run();
        let n_sent = metrics.datagrams_repeated.get() + metrics.datagrams_repeat_failed.get();
        assert_eq!(n_sent, 2 * n_fitting as u64);
    }

    #[test]
    fn names_are_followed() {
        let (sockets, destinations) = collectors(&["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"]);
        let metrics = Arc::new(Metrics::default());
        let first = &destinations[..1];
        let Repeating { repeater, mut thread, .. } =
            repeat(first, &[], Vec::new(), Arc::clone(&metrics)).unwrap();
        for (socket, n) in sockets.iter().zip(0u8..) {
            let addr = socket.local_addr().unwrap();
            *thread.addresses.0.lock().unwrap() = vec![vec![addr]];
            thread.follow_names();
            assert_eq!(thread.targets[0].addr(), addr);
            thread.targets[0].send(&[n], "127.0.0.9:4000".parse().unwrap()).unwrap();
            assert_eq!(received(socket).0, [n]);
        }
        *thread.addresses.0.lock().unwrap() = vec![Vec::new()];
        thread.follow_names();
        assert_eq!(thread.targets[0].addr(), sockets[2].local_addr().unwrap());
        drop(repeater);
    }

    #[test]
    fn a_name_is_looked_up_and_a_wrong_one_refused() {
        let metrics = Arc::new(Metrics::default());
        let start = |destination: &Destination, listeners: &[&str]| {
            let listeners: Vec<_> = listeners.iter().map(|addr| addr.parse().unwrap()).collect();
            repeat(std::slice::from_ref(destination), &listeners, Vec::new(), Arc::clone(&metrics))
        };
        let name = |host: &str| Destination { host: host.to_owned(), port: 9 };
        let Repeating { thread, look_up, .. } = start(&name("localhost"), &["[::]:10"]).unwrap();
        assert!(thread.targets[0].addr().ip().is_loopback());
        look_up.unwrap().look();
        assert_eq!(thread.addresses.0.lock().unwrap()[0][0], thread.targets[0].addr());
        assert!(matches!(start(&name("no-such-host.invalid"), &[]), Err(RepeatError::Name(..))));
        for (target, listener, is_own) in [
            ("127.0.0.1:9", "[::]:9", true),
            ("127.0.0.1:9", "0.0.0.0:9", true),
            ("127.0.0.1:9", "127.0.0.1:9", true),
            ("127.0.0.2:9", "127.0.0.1:9", false),
            ("127.0.0.1:9", "[::]:10", false),
        ] {
            let error = start(&at(target), &[listener]).err();
            assert_eq!(
                matches!(error, Some(RepeatError::Itself(_))),
                is_own,
                "{target} {listener} {error:?}"
            );
        }
        assert!(!is_own("192.0.2.1:9".parse().unwrap(), &["[::]:9".parse().unwrap()]), "another machine");
    }
}
