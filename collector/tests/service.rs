//! `flowcapd` under a service manager: what it tells it, and sockets that outlive it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::unistd::Pid;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

/// Longest wait for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector started as a manager starts it: with sockets as descriptors 3 and 4.
struct Collector {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Collector {
    fn start(args: &[&str], udp: &UdpSocket, tcp: Option<&TcpListener>, env: &[(&str, &str)]) -> Self {
        // The shell has them as its stdin and stdout, and passes them on where they belong.
        let (n, passes) = if tcp.is_some() { ("2", "3<&0 4<&1") } else { ("1", "3<&0") };
        let script =
            format!("exec {passes} </dev/null >/dev/null; LISTEN_FDS={n} LISTEN_PID=$$ exec \"$0\" \"$@\"");
        let fd = |socket: OwnedFd| Stdio::from(socket);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_flowcapd")]).args(args);
        command.env("LISTEN_FDNAMES", ["udp", "udp:tcp"][usize::from(tcp.is_some())]);
        command.envs(env.iter().copied()).stdin(fd(udp.try_clone().unwrap().into())).stderr(Stdio::piped());
        command.stdout(tcp.map_or_else(Stdio::null, |tcp| fd(tcp.try_clone().unwrap().into())));
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// The next line it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Ends it; what it said since, if it succeeded.
    fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        self.rest(Some(0))
    }

    fn rest(&mut self, code: Option<i32>) -> String {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), code, "{rest}");
        rest
    }
}

fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// A v9 message with one record, whose octets are `serial`; every hundredth brings
/// the template, too.
fn message(serial: u32) -> Vec<u8> {
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let mut message = words(&[9, 1]);
    for word in [serial, 1_795_264_200, serial, 1] {
        message.extend(word.to_be_bytes());
    }
    if serial.is_multiple_of(100) {
        // Octets (1), protocol (4) and 3 of padding (210).
        message.extend(words(&[0, 20, 256, 3, 1, 4, 4, 1, 210, 3]));
    }
    message.extend(words(&[256, 12]));
    message.extend(serial.to_be_bytes());
    message.extend([17, 0, 0, 0]);
    message
}

/// `bytes` of every record below `root`, sorted.
fn serials(root: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
                let schema = reader.metadata().file_metadata().schema();
                let bytes = schema.get_fields().iter().position(|field| field.name() == "bytes").unwrap();
                let rows = reader.get_row_iter(None).unwrap();
                found.extend(rows.map(|row| row.unwrap().get_long(bytes).unwrap() as u32));
            }
        }
    }
    found.sort_unstable();
    found
}

/// Sends messages with serial numbers from 0 on, `rate` of them a second, and not more
/// than `n_max`.
fn send(addr: SocketAddr, rate: u32, n_sent: &AtomicU32, n_max: &AtomicU32, is_done: &AtomicBool) {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut due = Instant::now();
    while !is_done.load(Ordering::Relaxed) {
        let n = n_sent.load(Ordering::Relaxed);
        if n >= n_max.load(Ordering::Relaxed) {
            due = Instant::now();
        } else if due <= Instant::now() {
            sender.send_to(&message(n), addr).unwrap();
            n_sent.store(n + 1, Ordering::Relaxed);
            due += Duration::from_secs(1) / rate;
            continue;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the sender.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Three restarts while messages come in: every record is there in the end.
///
/// Without privileges the socket's buffer is small, so few are sent while nobody
/// receives; `RESTART_DATAGRAMS_PER_SEC=20000` sends on without regard.
#[test]
fn a_restart_loses_nothing_where_the_manager_holds_the_socket() {
    let asked = std::env::var("RESTART_DATAGRAMS_PER_SEC").ok().map(|rate| rate.parse::<u32>().unwrap());
    let (rate, n_gap) = asked.map_or((2_000, 200), |rate| (rate, u32::MAX / 2));
    let (socket, addr) = udp();
    // What `ReceiveBuffer=` of a socket unit does.
    let _ = setsockopt(&socket, RcvBufForce, &(128 << 20));
    let directory = tempfile::tempdir().unwrap();
    let args = ["-v", "-p", &addr.port().to_string(), "-w", directory.path().to_str().unwrap()];
    let (is_done, n_sent, n_max) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(u32::MAX));
    let now = || n_sent.load(Ordering::Relaxed);
    let wait_for = |n: u32| {
        let start = Instant::now();
        while now() < n {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let start = || {
        let mut collector = Collector::start(&args, &socket, None, &[]);
        let said = collector.line();
        assert!(said.contains(&format!("{addr} is held by the service manager (`udp`)")), "{said}");
        let said = collector.line();
        assert!(said.starts_with(&format!("listening on {addr}, ")), "{said}");
        n_max.store(u32::MAX, Ordering::Relaxed);
        collector
    };
    std::thread::scope(|scope| {
        // Also where this fails: the scope ends with its last thread.
        let _done = Done(&is_done);
        scope.spawn(|| send(addr, rate, &n_sent, &n_max, &is_done));
        for _ in 0..3 {
            let collector = start();
            wait_for(now() + rate / 2);
            n_max.store(now() + n_gap, Ordering::Relaxed);
            collector.stop();
            // Nobody receives now.
            wait_for((now() + rate / 10).min(n_max.load(Ordering::Relaxed)));
        }
    });
    // What it takes at the end came while nobody received.
    let said = start().stop();
    let taken = said.lines().find_map(|line| line.strip_prefix("flowcap_datagrams_received_total "));
    assert!(taken.is_some_and(|n| n.parse::<u32>().unwrap() > 0), "{said}");
    let (n_sent, found) = (n_sent.into_inner(), serials(directory.path()));
    let wrong = found.iter().zip(0..).find(|(found, expected)| **found != *expected);
    assert!(wrong.is_none() && found.len() == n_sent as usize, "{} of {n_sent}: {wrong:?}", found.len());
}

#[test]
fn what_the_kernel_drops_between_two_runs_is_counted_once() {
    let (socket, addr) = udp();
    let directory = tempfile::tempdir().unwrap();
    let args = ["-p", &addr.port().to_string(), "-w", directory.path().to_str().unwrap()];
    let start = || {
        let mut collector = Collector::start(&args, &socket, None, &[]);
        collector.line();
        collector
    };
    start().stop();
    const SENT: u32 = 500;
    socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for serial in 0..SENT {
        sender.send_to(&message(serial), addr).unwrap();
    }
    let count = |said: &str, name: &str| -> u32 {
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_total "));
        line.unwrap_or_else(|| panic!("no {name} in {said}")).parse().unwrap()
    };
    let said = start().stop();
    let n_dropped = count(&said, "flowcap_kernel_dropped_datagrams");
    assert!(n_dropped > 0 && n_dropped + count(&said, "flowcap_datagrams_received") == SENT, "{said}");
    assert_eq!(count(&start().stop(), "flowcap_kernel_dropped_datagrams"), 0);
}

#[test]
fn sockets_that_are_asked_for_and_not_held_are_bound() {
    let (socket, addr) = udp();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp_addr = tcp.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = ["-v", "-b", "127.0.0.1", "-w", directory.path().to_str().unwrap()];
    let (port, tcp_port) = (addr.port().to_string(), tcp_addr.port().to_string());
    let mut collector = Collector::start(
        &[&write[..], &["-p", &port, "-p", "0", "--tcp", &tcp_port]].concat(),
        &socket,
        Some(&tcp),
        &[],
    );
    for (name, addr) in [("udp", addr), ("tcp", tcp_addr)] {
        let said = collector.line();
        assert!(said.contains(&format!("{addr} is held by the service manager (`{name}`)")), "{said}");
    }
    let said = collector.line();
    let rest =
        said.strip_prefix(&format!("listening UDP on {addr} 127.0.0.1:")).unwrap_or_else(|| panic!("{said}"));
    assert!(rest.contains(&format!(", TCP on {tcp_addr}, ")), "{said}");
    let mut connection = TcpStream::connect(tcp_addr).unwrap();
    connection.write_all(&[0; 16]).unwrap();
    // No IPFIX: it hangs up.
    let _ = connection.read_to_end(&mut Vec::new());
    let said = collector.stop();
    assert!(said.contains("flowcap_connections_accepted_total 1\n"), "{said}");

    let mut collector = Collector::start(&[&write[..], &["-p", &port]].concat(), &socket, Some(&tcp), &[]);
    let said = collector.rest(Some(1));
    let expected = format!(
        "error: nothing asks for connections on {tcp_addr} (`tcp`)\n\
         hint: `--tcp` or `--tls` with this port says what comes over it\n"
    );
    assert!(said.ends_with(&expected), "{said}");
}

#[test]
fn descriptors_that_are_no_sockets_are_refused() {
    let file: OwnedFd = tempfile::tempfile().unwrap().into();
    let mut collector = Collector::start(&[], &UdpSocket::from(file), None, &[]);
    let expected = "error: inherited descriptor 3 (`udp`): it is neither a UDP nor a TCP socket\n\
                    hint: a socket unit passes `ListenDatagram=` and `ListenStream=` sockets\n";
    assert_eq!(collector.rest(Some(1)), expected);
}

#[test]
fn the_manager_is_told_how_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = || {
        let mut buffer = [0; 1_000];
        let n = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    };
    let (socket, addr) = udp();
    let root = directory.path().join("flows");
    let args = ["-p", &addr.port().to_string(), "-w", root.to_str().unwrap()];
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let mut collector = Collector::start(&args, &socket, None, &env);
    assert_eq!(said(), "READY=1\n");
    assert_eq!(said(), "WATCHDOG=1\n");
    assert_eq!(said(), "WATCHDOG=1\n");
    let other = || loop {
        let said = said();
        if said != "WATCHDOG=1\n" {
            break said;
        }
    };
    collector.signal(Signal::SIGHUP);
    let reloading = other();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(other(), "READY=1\n");
    collector.signal(Signal::SIGTERM);
    let expected = "STOPPING=1\nSTATUS=publishing what has come so far\nEXTEND_TIMEOUT_USEC=30000000\n";
    assert_eq!(other(), expected);
    collector.rest(Some(0));
}
