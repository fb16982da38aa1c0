//! A collector in this process, listening on loopback, writing to a directory
//! that goes away with it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_collector::{Config, Metrics, Protocol, Running, Source, Streams, SystemClock, start};
use flow_common::time::Clock;
use tempfile::TempDir;

use crate::pcap::UdpPayload;

/// Longest time a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running collector; [`Daemon::finish`] drains it.
#[derive(Debug)]
pub struct Daemon {
    running: Running,
    directory: TempDir,
    n_sent: u64,
}

/// What a collector left behind.
#[derive(Debug)]
pub struct Finished {
    /// The directory it wrote to.
    pub directory: TempDir,
    /// Where it listened.
    pub listeners: Vec<SocketAddr>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
}

impl Daemon {
    /// Starts a collector on a free port of both loopback addresses.
    pub fn start() -> Self {
        Self::start_with(Arc::new(SystemClock), 300)
    }

    /// Starts a collector with this clock and slots of `slot_secs`.
    pub fn start_with(clock: Arc<dyn Clock>, slot_secs: u32) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = loopback.map(|ip| SocketAddr::new(ip, 0)).into();
        Self::start_at(directory, addresses, clock, slot_secs)
    }

    /// Starts a collector that also accepts connections.
    pub fn start_with_streams(streams: Streams) -> Self {
        Self::start_as(Config { streams, ..Config::default() })
    }

    /// Starts a collector on free ports of loopback, otherwise as `config` says.
    pub fn start_as(config: Config) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = loopback.map(|ip| SocketAddr::new(ip, 0)).into();
        let config = Config {
            source: Source::Listen(addresses),
            root: directory.path().to_owned(),
            ident: "test".to_owned(),
            ..config
        };
        let running = start(&config, Arc::new(SystemClock), None).expect("a collector on loopback");
        Self { running, directory, n_sent: 0 }
    }

    /// Starts a collector again, where an earlier one listened and wrote.
    pub fn restart(finished: Finished) -> Self {
        Self::start_at(finished.directory, finished.listeners, Arc::new(SystemClock), 300)
    }

    fn start_at(
        directory: TempDir,
        addresses: Vec<SocketAddr>,
        clock: Arc<dyn Clock>,
        slot_secs: u32,
    ) -> Self {
        let config = Config {
            source: Source::Listen(addresses),
            root: directory.path().to_owned(),
            slot_secs,
            ident: "test".to_owned(),
            ..Config::default()
        };
        let running = start(&config, clock, None).expect("a collector on loopback");
        Self { running, directory, n_sent: 0 }
    }

    /// Its counters so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.running.metrics()
    }

    /// Where it listens for the family of `ip`.
    pub fn addr(&self, ip: IpAddr) -> SocketAddr {
        let fits = |addr: &&SocketAddr| addr.is_ipv4() == ip.is_ipv4();
        *self.running.listeners().iter().find(fits).expect("a listener of each family")
    }

    /// Where it accepts connections of this kind.
    pub fn stream_addr(&self, protocol: Protocol) -> SocketAddr {
        let mut listeners = self.running.stream_listeners().iter();
        listeners.find(|(found, _)| *found == protocol).expect("such a listener").1
    }

    /// The collector itself.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Waits until it has received `n` messages more.
    pub fn expect(&mut self, n: u64) {
        self.n_sent += n;
        self.wait_until(|metrics, n_sent| value(metrics, "flowcap_datagrams_received_total") == n_sent);
    }

    /// Waits until a counter has this value; `name` is without `flowcap_`.
    pub fn wait_for(&self, name: &str, expected: u64) {
        let name = format!("flowcap_{name}");
        self.wait_until(|metrics, _| value(metrics, &name) == expected);
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Sends datagrams from one socket over IPv4.
    pub fn send<'a>(&mut self, payloads: impl IntoIterator<Item = &'a [u8]>) {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let payloads = payloads.into_iter().map(|payload| (peer, peer, payload.to_vec(), 0));
        self.send_as(&payloads.collect::<Vec<_>>());
    }

    /// Sends datagrams from a socket that outlives this collector.
    pub fn send_from(&mut self, socket: &UdpSocket, payloads: &[&[u8]]) {
        let target = self.addr(socket.local_addr().expect("a bound socket").ip());
        for payload in payloads {
            socket.send_to(payload, target).expect("loopback takes a datagram");
            self.n_sent += 1;
        }
        self.wait_until(|metrics, n_sent| value(metrics, "flowcap_datagrams_received_total") == n_sent);
    }

    /// Sends datagrams, each original source from a socket of its own, over the
    /// family it was captured with.
    pub fn send_as(&mut self, payloads: &[UdpPayload]) {
        let mut sockets = HashMap::new();
        for (source, _, payload, _) in payloads {
            let target = self.addr(source.ip());
            let socket =
                sockets.entry(*source).or_insert_with(|| bind_beside(target).expect("a loopback socket"));
            socket.send_to(payload, target).expect("loopback takes a datagram");
            self.n_sent += 1;
            // Never more than a socket buffer holds: nothing may be lost here.
            self.wait_until(|metrics, n_sent| {
                value(metrics, "flowcap_datagrams_received_total") + 100 >= n_sent
            });
        }
        self.wait_until(|metrics, n_sent| value(metrics, "flowcap_datagrams_received_total") == n_sent);
    }

    /// Waits until the counters and the number of datagrams sent fit.
    pub fn wait_until(&self, is_reached: impl Fn(&Metrics, u64) -> bool) {
        let start = Instant::now();
        while !is_reached(self.running.metrics(), self.n_sent) {
            assert!(start.elapsed() < PATIENCE, "waited in vain; counters are\n{}", self.running.metrics());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops it, waits for the end, and asserts the conservation laws.
    pub fn finish(self) -> Finished {
        let listeners = self.running.listeners().to_vec();
        self.running.stop();
        let summary = self.running.wait();
        assert_eq!(summary.failure, None);
        assert_laws(&summary.metrics);
        Finished { directory: self.directory, listeners, metrics: summary.metrics }
    }
}

/// Decodes a capture file into a new directory.
pub fn decode_capture(path: &Path) -> Finished {
    decode_capture_with(path, Config::default())
}

/// Decodes a capture file into a new directory, otherwise as `config` says.
pub fn decode_capture_with(path: &Path, config: Config) -> Finished {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = Config {
        source: Source::Capture(path.to_owned()),
        root: directory.path().to_owned(),
        ident: "test".to_owned(),
        ..config
    };
    let summary = start(&config, Arc::new(SystemClock), None).expect("a collector of a capture").wait();
    assert_eq!(summary.failure, None);
    assert_laws(&summary.metrics);
    Finished { directory, listeners: Vec::new(), metrics: summary.metrics }
}

/// The conservation laws hold, and nothing is in flight.
fn assert_laws(metrics: &Metrics) {
    assert_eq!(metrics.check_laws(), Ok(()), "{metrics}");
    for name in
        ["flowcap_datagrams_in_flight", "flowcap_records_in_flight", "flowcap_options_records_in_flight"]
    {
        assert_eq!(value(metrics, name), 0, "{name} after shutdown");
    }
}

/// One counter by its full name.
pub fn value(metrics: &Metrics, name: &str) -> u64 {
    metrics.value(name).unwrap_or_else(|| panic!("no counter is called {name}"))
}

fn bind_beside(target: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(SocketAddr::new(target.ip(), 0))
}
