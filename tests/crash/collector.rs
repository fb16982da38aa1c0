//! `flowcapd` as a process, and what the kernel knows of it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest time anything may take; no measure of speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program: `FLOWCAPD`, or built as the tests are.
fn flowcapd() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("FLOWCAPD") {
            return path.into();
        }
        // Of this package's tests cargo builds libraries alone.
        let target = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--bin", "flowcapd"]);
        build.arg("--target-dir").arg(target.parent().unwrap());
        if target.ends_with("release") {
            build.arg("--release");
        }
        // Crates that look at what cargo says of this package would be built anew.
        let is_of_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars().filter(|(name, _)| is_of_package(name)) {
            build.env_remove(name);
        }
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().unwrap().success(), "flowcapd does not build");
        target.join("flowcapd")
    })
}

/// What the service's unit sets: how memory is given back is part of what is tested.
fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../collector/packaging/flowcap.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
    lines.flat_map(str::split_whitespace).filter_map(|setting| setting.split_once('='))
}

/// A free port of loopback.
pub(crate) fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Collector {
    child: Child,
    port: u16,
    started: Instant,
}

impl Collector {
    /// Starts it on a port of loopback; what it says is appended to `log`.
    pub(crate) fn start(root: &Path, port: u16, slot_secs: u32, log: &Path) -> Self {
        Self::start_with(root, port, slot_secs, log, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(root: &Path, port: u16, slot_secs: u32, log: &Path, args: &[String]) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(flowcapd());
        command.args(["-b", "127.0.0.1", "-p", &port.to_string(), "-t", &slot_secs.to_string(), "-w"]);
        command.arg(root).args(args).envs(environment()).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        Self { child: command.spawn().unwrap(), port, started }
    }

    /// Waits until it listens; how long that took from its start.
    pub(crate) fn wait_for_socket(&mut self) -> Duration {
        while Socket::of(self.port).is_none() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the collector ended at its start: {status}");
            }
            assert!(self.started.elapsed() < PATIENCE, "the collector does not listen");
            std::thread::sleep(Duration::from_micros(500));
        }
        self.started.elapsed()
    }

    /// Waits until everything sent is accepted: nothing is in the socket, and every
    /// thread of the collector sleeps.
    pub(crate) fn wait_until_idle(&self) {
        let start = Instant::now();
        let mut n_idle = 0;
        while n_idle < 3 {
            let is_idle = self.socket().queued_bytes == 0 && self.threads().iter().all(|state| state == "S");
            n_idle = if is_idle { n_idle + 1 } else { 0 };
            assert!(start.elapsed() < PATIENCE, "the collector never rests: {:?}", self.threads());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its socket, while it runs.
    pub(crate) fn socket(&self) -> Socket {
        Socket::of(self.port).expect("the collector closed its socket")
    }

    /// State of each of its threads, as a letter.
    fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(self.proc("task")).unwrap().flatten();
        let state = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            Some(stat.rsplit_once(") ")?.1.get(..1)?.to_owned())
        };
        tasks.filter_map(state).collect()
    }

    /// Resident memory, octets.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < PATIENCE, "the collector does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; one that ended is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A UDP socket of loopback as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Memory of the datagrams that wait in it.
    pub(crate) queued_bytes: u64,
    /// Datagrams dropped for want of room.
    pub(crate) n_dropped: u64,
}

impl Socket {
    /// The socket on this port; `None` where nobody listens.
    pub(crate) fn of(port: u16) -> Option<Self> {
        let table = fs::read_to_string("/proc/net/udp").unwrap();
        let local = format!("0100007F:{port:04X}");
        let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&local))?;
        let mut fields = line.split_whitespace().skip(4);
        let queued = fields.next()?.split_once(':')?.1;
        Some(Self {
            queued_bytes: u64::from_str_radix(queued, 16).ok()?,
            n_dropped: fields.last()?.parse().ok()?,
        })
    }
}
