//! A collector as a process: started, watched, ended, and what it stored counted.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use flow_bench::socket::socket_state;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use parquet::file::reader::{FileReader, SerializedFileReader};

/// Longest wait for a collector to listen, to empty its socket, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the process.
const LOOK: Duration = Duration::from_millis(20);
/// A socket that was empty so many times in a row is empty.
const EMPTY_LOOKS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Flowcapd,
    Nfcapd,
}

/// Programs, and what both are told alike.
#[derive(Debug)]
pub struct Programs {
    pub flowcapd: PathBuf,
    pub nfcapd: PathBuf,
    pub nfdump: PathBuf,
    /// `nfcapd -h`: older ones have letters for each compression.
    pub nfcapd_help: String,
    pub flowcapd_help: String,
    /// Socket buffer asked for, octets.
    pub buffer_bytes: usize,
}

/// A collector that runs.
pub struct Collector<'a> {
    programs: &'a Programs,
    kind: Kind,
    child: Child,
    directory: PathBuf,
    pub addr: SocketAddr,
    rss_kib: u64,
    /// CPU seconds of children before it ended.
    cpu_before: f64,
}

/// What it did.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    pub records: u64,
    pub bytes: u64,
    pub cpu_secs: f64,
    pub rss_kib: u64,
    /// Datagrams the kernel dropped for want of room.
    pub dropped: u64,
}

impl Programs {
    /// Flags for a compression; `None` where the program has none such.
    fn compression(&self, kind: Kind, name: &str) -> Option<String> {
        let has_names = self.nfcapd_help.contains("-z=");
        match (kind, name) {
            (Kind::Nfcapd, "lz4") if !has_names => Some("-y".to_owned()),
            (Kind::Nfcapd, _) if !has_names => None,
            _ => Some(format!("-z={name}")),
        }
    }

    fn command(&self, kind: Kind, compression: &str, port: u16, directory: &Path) -> Option<Command> {
        let (program, help) = match kind {
            Kind::Flowcapd => (&self.flowcapd, &self.flowcapd_help),
            Kind::Nfcapd => (&self.nfcapd, &self.nfcapd_help),
        };
        let mut command = Command::new(program);
        let port = port.to_string();
        command.args(["-b", "127.0.0.1", "-p", &port, "-t", "3600", "-w"]).arg(directory.join("out"));
        command.arg(self.compression(kind, compression)?);
        if help.contains("-B") {
            command.args(["-B", &self.buffer_bytes.to_string()]);
        }
        Some(command)
    }

    /// Starts a collector in a directory of its own; `None` where it lacks this compression.
    pub fn start(
        &self,
        kind: Kind,
        compression: &str,
        directory: &Path,
    ) -> io::Result<Option<Collector<'_>>> {
        fs::create_dir_all(directory.join("out"))?;
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let Some(mut command) = self.command(kind, compression, port, directory) else { return Ok(None) };
        let log = File::create(directory.join("log"))?;
        command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        let mut collector = Collector {
            programs: self,
            kind,
            child,
            directory: directory.to_owned(),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            rss_kib: 0,
            cpu_before: cpu_of_children(),
        };
        let start = Instant::now();
        while socket_state(port).is_none() {
            if collector.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(collector.failed("it does not listen"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(Some(collector))
    }
}

impl Collector<'_> {
    fn failed(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        io::Error::other(format!("{:?}: {what}\n{log}", self.kind))
    }

    /// Notes how much memory it has taken.
    pub fn look(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        self.rss_kib = self.rss_kib.max(kib.unwrap_or(0));
    }

    /// Lets it take what its socket holds, ends it, and counts what it stored.
    pub fn finish(mut self) -> io::Result<Finished> {
        let (start, mut n_empty, mut dropped) = (Instant::now(), 0, 0);
        while n_empty < EMPTY_LOOKS && start.elapsed() < PATIENCE {
            let Some(state) = socket_state(self.addr.port()) else {
                return Err(self.failed("it ended early"));
            };
            n_empty = if state.queued_bytes == 0 { n_empty + 1 } else { 0 };
            dropped = state.dropped;
            self.look();
            std::thread::sleep(LOOK);
        }
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, Signal::SIGTERM)?;
        let start = Instant::now();
        let status = loop {
            self.look();
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                return Err(self.failed("it does not end"));
            }
            std::thread::sleep(LOOK / 4);
        };
        if status.code() != Some(0) {
            return Err(self.failed(&format!("it ended with {:?} / {:?}", status.code(), status.signal())));
        }
        let cpu_secs = cpu_of_children() - self.cpu_before;
        let files = self.files()?;
        let bytes = files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
        let records = self.records(&files)?;
        Ok(Finished { records, bytes, cpu_secs, rss_kib: self.rss_kib, dropped })
    }

    /// Files of flows it left.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut directories = vec![self.directory.join("out")];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let is_flows = match self.kind {
                    Kind::Flowcapd => name.ends_with(".parquet"),
                    Kind::Nfcapd => name.starts_with("nfcapd.2"),
                };
                match path.is_dir() {
                    true if !name.starts_with('.') => directories.push(path),
                    false if is_flows && !name.starts_with('.') => files.push(path),
                    _ => {}
                }
            }
        }
        Ok(files)
    }

    fn records(&self, files: &[PathBuf]) -> io::Result<u64> {
        match self.kind {
            Kind::Flowcapd => {
                let stored = files.iter().map(|file| parquet_rows(file)).sum::<io::Result<u64>>()?;
                let said = self.log_counter("flowcap_records_visible");
                if said.is_some_and(|said| said != stored) {
                    return Err(self.failed(&format!("its counter says {said:?}, its files hold {stored}")));
                }
                Ok(stored)
            }
            Kind::Nfcapd => files.iter().map(|file| self.nfdump_flows(file)).sum(),
        }
    }

    /// A counter as flowcapd prints it at its end.
    fn log_counter(&self, name: &str) -> Option<u64> {
        let log = fs::read_to_string(self.directory.join("log")).ok()?;
        let line = log.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
        line.split_whitespace().next_back()?.parse().ok()
    }

    fn nfdump_flows(&self, file: &Path) -> io::Result<u64> {
        let args = [OsString::from("-I"), "-r".into(), file.into()];
        let output = Command::new(&self.programs.nfdump).args(args).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let flows = text.lines().find_map(|line| line.strip_prefix("Flows:")).map(str::trim);
        flows.and_then(|n| n.parse().ok()).ok_or_else(|| self.failed("nfdump -I names no number of flows"))
    }
}

impl Drop for Collector<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Rows of a Parquet file, by its footer.
fn parquet_rows(file: &Path) -> io::Result<u64> {
    let reader = SerializedFileReader::new(File::open(file)?).map_err(io::Error::other)?;
    Ok(reader.metadata().file_metadata().num_rows() as u64)
}

/// CPU of all children that have ended and were waited for, seconds.
fn cpu_of_children() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return 0.0 };
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}
