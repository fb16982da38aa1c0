//! What a collector tells of itself while it runs: metrics, health, status.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use flow_collector::{Config, SamplingPolicy, SocketOptions};
use flow_tests::daemon::{Daemon, value};
use flow_tests::exposition::{self, Series};
use serde_json::Value;

/// Longest time a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A v9 export packet: template 256, the protocol alone, and one record of it.
const V9: [u8; 40] = [
    0, 9, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, // header
    0, 0, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1, // template
    1, 0, 0, 8, 6, 0, 0, 0, // record, padded
];

/// A v9 export packet with a record of template 300, which never comes.
const ORPHAN: [u8; 28] =
    [0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 1, 44, 0, 8, 6, 0, 0, 0];

fn start() -> Daemon {
    let http = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    // A rate of the operator's, so that there is one to be told.
    Daemon::start_as(Config { http, sampling: SamplingPolicy::Default(100), ..Config::default() })
}

/// Asks for `path`; status and body.
fn get(mut stream: impl Read + Write, path: &str) -> (u16, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    answer(stream)
}

fn answer(mut stream: impl Read) -> (u16, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: `{answer}`"));
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.running().http().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn scrape(daemon: &Daemon) -> Series {
    let (status, text) = get(connect(daemon), "/metrics");
    assert_eq!(status, 200, "{text}");
    exposition::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Status as asked for over the socket in the collector's directory.
fn status(root: &Path) -> Value {
    let stream = UnixStream::connect(root.join(".flowcap/status.sock")).unwrap();
    let (status, json) = get(stream, "/status");
    assert_eq!(status, 200);
    serde_json::from_str(&json).unwrap()
}

/// Sends one datagram from each of `n` addresses of loopback.
fn send_from_many(daemon: &mut Daemon, n: u16, payload: &[u8]) {
    let target = daemon.addr(IpAddr::from([127, 0, 0, 1]));
    for exporter in 0..n {
        let [high, low] = exporter.to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, high, low), 0)).unwrap();
        socket.send_to(payload, target).unwrap();
        // Never more than a socket buffer holds.
        if exporter % 50 == 49 {
            daemon.expect(50);
        }
    }
}

/// What exporters sent, summed up over their series.
fn sum_over_exporters(series: &Series) -> f64 {
    let prefix = "flowcap_exporter_datagrams_total{";
    series.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
}

#[test]
fn a_scrape_tells_what_was_counted() {
    let mut daemon = start();
    daemon.send([&V9[..], &V9, b"junk", &ORPHAN]);
    daemon.wait_for("datagrams_in_flight", 0);
    let series = scrape(&daemon);
    // These change by themselves.
    let moves = ["flowcap_disk_free_bytes", "flowcap_log_lines_suppressed_total"];
    for (name, expected) in daemon.metrics().samples() {
        if !moves.contains(&name.as_str()) {
            assert_eq!(series.get(&name), Some(&(expected as f64)), "{name}");
        }
    }
    assert_eq!(series["flowcap_datagrams_received_total"], 4.0);
    assert_eq!(series["flowcap_exporter_datagrams_total{exporter=\"127.0.0.1\"}"], 4.0);
    assert_eq!(sum_over_exporters(&series), 4.0);
    let listener = daemon.addr(IpAddr::from([127, 0, 0, 1]));
    assert_eq!(series[&format!("flowcap_listener_datagrams_total{{listener=\"{listener}\"}}")], 4.0);
    assert!(series[&format!("flowcap_listener_buffer_bytes{{listener=\"{listener}\"}}")] > 0.0);
    assert!(series["process_resident_memory_bytes"] > 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(series[&format!("flowcap_build_info{{version=\"{version}\"}}")], 1.0);
    daemon.finish();
}

#[test]
fn forged_exporters_do_not_multiply_series() {
    const EXPORTERS: u16 = 1_000;
    let mut daemon = start();
    send_from_many(&mut daemon, EXPORTERS, &V9);
    daemon.wait_for("datagrams_in_flight", 0);
    let series = scrape(&daemon);
    assert!(series.len() <= 2_000, "{}", series.len());
    assert_eq!(series["flowcap_exporters"], f64::from(EXPORTERS));
    assert_eq!(sum_over_exporters(&series), f64::from(EXPORTERS));
    let other = series["flowcap_exporter_datagrams_total{exporter=\"other\"}"];
    assert!(other > 0.0 && other < f64::from(EXPORTERS) / 2.0, "{other}");
    // The same ones keep their series, and the sum never shrinks.
    send_from_many(&mut daemon, EXPORTERS, &V9);
    daemon.wait_for("datagrams_in_flight", 0);
    let start = Instant::now();
    let again = loop {
        let series = scrape(&daemon);
        // What exporters do is copied out twice a second at most.
        if sum_over_exporters(&series) > f64::from(EXPORTERS) {
            break series;
        }
        assert!(start.elapsed() < PATIENCE);
    };
    assert_eq!(again["flowcap_exporter_datagrams_total{exporter=\"other\"}"], 2.0 * other);
    assert!(again.keys().eq(series.keys()));
    let status = status(daemon.root());
    assert_eq!(status["n_exporters"], EXPORTERS);
    assert_eq!(status["exporters"].as_array().unwrap().len(), usize::from(EXPORTERS));
    daemon.finish();
}

#[test]
fn status_tells_of_listeners_exporters_and_what_waits() {
    let mut daemon = start();
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    daemon.send_from(&socket, &[&V9, &ORPHAN, b"junk"]);
    daemon.wait_for("datagrams_in_flight", 0);
    let status = status(daemon.root());
    let exporter = &status["exporters"][0];
    let told = |key: &str| exporter[key].to_string();
    let keys = ["address", "export_version", "transport", "datagrams", "records", "templates", "rejected"];
    // Junk says that it is of version 0x6a75.
    assert_eq!(keys.map(told), ["\"127.0.0.2\"", "27253", "\"UDP\"", "3", "1", "1", "1"], "{status}");
    assert_eq!(
        (told("sampling_rate"), told("rejected_for")),
        ("100".into(), "\"unsupported_version\"".into())
    );
    let wait = &status["waiting"][0];
    let told = ["exporter", "template_id", "domain", "sets"].map(|key| wait[key].to_string());
    assert_eq!(told, ["\"127.0.0.2\"", "300", "7", "1"]);
    assert_eq!(status["ready"], true);
    assert_eq!(status["directory"], daemon.root().display().to_string());
    assert_eq!(status["listeners"][0]["datagrams"], 3);
    assert_eq!(status["counters"]["flowcap_datagrams_rejected_total{reason=\"unsupported_version\"}"], 1);
    let hints: Vec<_> = status["hints"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(hints.iter().any(|hint| hint.contains("not NetFlow or IPFIX")), "{hints:?}");
    let root = daemon.root().to_owned();
    let finished = daemon.finish();
    assert!(!root.join(".flowcap/status.sock").exists(), "it goes with the collector");
    drop(finished);
}

#[test]
fn every_path_answers_or_says_what_there_is() {
    let daemon = start();
    let check = |path: &str, status: u16, body: &str| {
        let (found, text) = get(connect(&daemon), path);
        assert!(found == status && text.contains(body), "{path}: {found} {text}");
    };
    check("/", 200, "/metrics");
    check("/livez", 200, "ok\n");
    check("/readyz", 200, "ok\n");
    check("/version", 200, &format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")));
    check("/status", 200, "\"ready\":true");
    check("/nothing", 404, "/readyz");
    let mut stream = connect(&daemon);
    write!(stream, "POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(answer(stream).0, 405);
    daemon.finish();
}

/// Whether the other side has closed; waits for it.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn whoever_is_slow_or_many_hurts_nobody_else() {
    let mut daemon = start();
    // More than one address may have: the rest is turned away at once.
    let mut slow: Vec<_> = (0..40).map(|_| connect(&daemon)).collect();
    for stream in &mut slow {
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
    }
    let refused = |daemon: &Daemon| value(daemon.metrics(), "flowcap_http_connections_refused_total");
    daemon.wait_until(|_, _| refused(&daemon) > 0);
    // Someone on the machine still gets an answer, and so do exporters.
    assert_eq!(status(daemon.root())["ready"], true);
    daemon.send([&V9[..]]);
    // They are closed though they go on a little at a time.
    let start = Instant::now();
    while slow.len() > 1 {
        assert!(start.elapsed() < PATIENCE, "{} are still open", slow.len());
        slow.retain_mut(|stream| stream.write_all(b"a").is_ok());
        std::thread::sleep(Duration::from_millis(200));
    }
    let start = Instant::now();
    let (status, _) = loop {
        // Those closed last may not be counted out yet.
        let mut stream = connect(&daemon);
        let _ = write!(stream, "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n");
        let mut text = String::new();
        if stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200") {
            break (200, text);
        }
        assert!(start.elapsed() < PATIENCE);
    };
    assert_eq!(status, 200);
    daemon.finish();
}

#[test]
fn requests_are_bounded() {
    let daemon = start();
    let check = |request: &[u8]| {
        let mut stream = connect(&daemon);
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
        assert!(is_closed(&mut stream));
    };
    let long = vec![b'a'; 1 << 20];
    check(&[b"GET /metrics HTTP/1.1\r\nX: ", &long[..]].concat());
    check(&[b"GET /", &long[..]].concat());
    check(&[b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(1_000), b"\r\n".to_vec()].concat());
    check(b"\0\0\0\0\r\n\r\n");
    check(b"GET / HTTP/9.9\r\n\r\n");
    assert_eq!(get(connect(&daemon), "/readyz").0, 200);
    daemon.finish();
}

#[test]
fn what_the_kernel_drops_is_told_exactly_by_socket() {
    const SENT: u64 = 5_000;
    let socket = SocketOptions { buffer_bytes: Some(4_096), ..SocketOptions::default() };
    let daemon = Daemon::start_as(Config { socket, ..Config::default() });
    let listener = daemon.addr(IpAddr::from([127, 0, 0, 1]));
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..SENT {
        sender.send_to(&V9, listener).unwrap();
    }
    let metrics = daemon.finish().metrics;
    let of =
        |name: &str| value(&metrics, &format!("flowcap_listener_{name}_total{{listener=\"{listener}\"}}"));
    let (received, dropped) = (of("datagrams"), of("kernel_dropped_datagrams"));
    assert!(received > 0);
    assert_eq!(received + dropped, SENT);
    assert_eq!(value(&metrics, "flowcap_kernel_dropped_datagrams_total"), dropped);
}
