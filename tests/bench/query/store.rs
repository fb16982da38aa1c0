//! The same flows in files of both: made once, kept below `target/query-bench`.
//!
//! `nfcapd` rotates by the time of receipt, so each slot has a process of its own;
//! `flowcapd` reads a capture, which bears its times.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use flow_bench::socket::socket_state;
use flow_tests::load::traffic::{self, EXPORTERS, SLOT_SECS, START_SECS, Timed, Totals, Traffic};
use flow_tests::pcap;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::answer::{self, Group};
use crate::options::Programs;
use crate::process::{self, Outcome};
use crate::queries::Shape;

/// Socket buffer asked for, octets; the kernel may grant less.
const BUFFER_BYTES: u64 = 4 << 20;
/// The sender waits while so much is queued: nothing may be lost.
const QUEUED_BYTES_MAX: u64 = 1 << 20;
/// Datagrams between two looks at the queue; 64 take some 150 KiB of it.
const BURST: usize = 64;
/// Longest wait for a collector to listen, to empty its socket, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// A socket that is not seen for so long is gone.
const GONE: Duration = Duration::from_secs(1);
/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(2);
/// A collector is ended when its socket was empty so many times, so far apart.
const EMPTY_LOOKS: usize = 10;
const EMPTY_PAUSE: Duration = Duration::from_millis(10);
/// Octets of a pcap file's header.
const PCAP_HEADER_OCTETS: usize = 24;
/// File whose presence says that a store is complete; it holds totals, and who wrote it.
const DONE: &str = "done";

/// Where the flows of one number lie.
#[derive(Debug, Clone)]
pub struct Stores {
    pub nfcapd: PathBuf,
    pub flowcap: PathBuf,
    pub totals: Totals,
}

impl Stores {
    /// Octets of all files below one of them for each flow.
    pub fn octets_per_flow(&self, flows: &Path) -> io::Result<f64> {
        let (mut octets, mut directories) = (0, vec![flows.to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => directories.push(entry.path()),
                    false => octets += entry.metadata()?.len(),
                }
            }
        }
        Ok(octets as f64 / self.totals.flows as f64)
    }

    /// Whether the flowcapd that is there now wrote the files.
    pub fn is_by(&self, programs: &Programs) -> io::Result<bool> {
        let done = self.flowcap.with_file_name(DONE);
        Ok(fs::read_to_string(done)?.ends_with(&build_of(programs)?))
    }
}

/// Says of which build flowcapd is.
fn build_of(programs: &Programs) -> io::Result<String> {
    let metadata = fs::metadata(&programs.flowcapd)?;
    let secs = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(format!("flowcapd of {} octets and time {secs}\n", metadata.len()))
}

/// Checks that both hold what was sent; what does not is made again next time.
pub fn verify(programs: &Programs, stores: &Stores) -> io::Result<()> {
    let verified = verify_both(programs, stores);
    if verified.is_err() {
        for flows in [&stores.nfcapd, &stores.flowcap] {
            _ = fs::remove_file(flows.with_file_name(DONE));
        }
    }
    verified
}

fn verify_both(programs: &Programs, stores: &Stores) -> io::Result<()> {
    let Totals { flows, packets, bytes } = stores.totals;
    let sent = vec![Group { key: "total".to_owned(), flows: Some(flows), packets, bytes }];
    let sides = [(&programs.nfdump, "-R", &stores.nfcapd), (&programs.flowdump, "-r", &stores.flowcap)];
    for (program, flag, directory) in sides {
        let arguments = ["-I".to_owned(), flag.to_owned(), directory.display().to_string()];
        let read = |reader| answer::read(reader, Shape::Info);
        match process::answer(program, &arguments, read)? {
            Outcome::Answered(held) if held == sent => {}
            Outcome::Answered(held) => {
                let (held, sent) = (answer::text(&held), answer::text(&sent));
                return Err(io::Error::other(format!(
                    "`{}` says\n{held}\nsent were\n{sent}",
                    program.display()
                )));
            }
            Outcome::Refused(reason) => {
                return Err(io::Error::other(format!("`{} -I`: {reason}", program.display())));
            }
        }
    }
    Ok(())
}

/// Finds or makes the stores of `n_flows`. Returns what was sent, and whether anything was made.
pub fn prepare(
    programs: &Programs,
    root: &Path,
    n_flows: u64,
    compression: &str,
    is_fresh: bool,
) -> io::Result<(Stores, bool)> {
    let base = root.join(n_flows.to_string());
    let nfcapd = base.join("nfcapd-lz4");
    let flowcap = base.join(format!("flowcap-{compression}"));
    if is_fresh {
        [&nfcapd, &flowcap].into_iter().for_each(|path| _ = fs::remove_dir_all(path));
    }
    let missing = [&nfcapd, &flowcap].map(|path| !path.join(DONE).exists());
    let is_made = missing.contains(&true);
    if is_made {
        make(
            programs,
            &base,
            n_flows,
            missing[0].then_some(&nfcapd),
            missing[1].then_some(&flowcap),
            compression,
        )?;
    }
    let totals = read_totals(&flowcap.join(DONE))?;
    Ok((Stores { nfcapd: nfcapd.join("flows"), flowcap: flowcap.join("flows"), totals }, is_made))
}

fn make(
    programs: &Programs,
    base: &Path,
    n_flows: u64,
    nfcapd: Option<&PathBuf>,
    flowcap: Option<&PathBuf>,
    compression: &str,
) -> io::Result<()> {
    let mut capture = flowcap.map(|path| Capture::start(programs, path, compression)).transpose()?;
    if let Some(path) = nfcapd {
        empty(&path.join("flows"))?;
    }
    let scratch = base.join(".scratch");
    let mut traffic = Traffic::new(n_flows);
    for (slot, datagrams) in traffic.by_ref().enumerate() {
        let mut receiver = nfcapd.map(|_| Receiver::start(programs, &scratch)).transpose()?;
        for burst in datagrams.chunks(BURST) {
            if let Some(receiver) = &mut receiver {
                receiver.send(burst)?;
            }
            if let Some(capture) = &mut capture {
                capture.write(burst)?;
            }
        }
        if let (Some(receiver), Some(path)) = (receiver, nfcapd) {
            receiver.finish(&path.join("flows"), START_SECS + slot as u64 * SLOT_SECS)?;
        }
    }
    if let Some(capture) = capture {
        capture.finish()?;
    }
    _ = fs::remove_dir_all(scratch);
    let Totals { flows, packets, bytes } = traffic.totals();
    for path in nfcapd.into_iter().chain(flowcap) {
        fs::write(path.join(DONE), format!("{flows} {packets} {bytes}\n{}", build_of(programs)?))?;
    }
    Ok(())
}

fn read_totals(path: &Path) -> io::Result<Totals> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().next().unwrap_or_default();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [flows, packets, bytes] => Ok(Totals { flows, packets, bytes }),
        _ => Err(io::Error::other(format!("`{}` does not hold three numbers", path.display()))),
    }
}

/// An empty directory.
fn empty(path: &Path) -> io::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::create_dir_all(path)
}

/// `flowcapd -f`, fed by a pipe.
struct Capture {
    child: Child,
    pipe: ChildStdin,
    log: PathBuf,
    has_header: bool,
}

impl Capture {
    fn start(programs: &Programs, directory: &Path, compression: &str) -> io::Result<Self> {
        empty(directory)?;
        let log = directory.join("log");
        let file = File::create(&log)?;
        let mut command = Command::new(&programs.flowcapd);
        command.args(["-f", "/dev/stdin", "-t", &SLOT_SECS.to_string(), "-w"]).arg(directory.join("flows"));
        command.arg(format!("-z={compression}"));
        let mut child = command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file).spawn()?;
        let pipe = child.stdin.take().expect("a piped stdin");
        Ok(Self { child, pipe, log, has_header: false })
    }

    fn write(&mut self, datagrams: &[Timed]) -> io::Result<()> {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_995));
        let payloads: Vec<_> = datagrams
            .iter()
            .map(|datagram| (datagram.source(), target, datagram.octets.clone(), datagram.at_us))
            .collect();
        let octets = pcap::write_pcap(&payloads);
        let from = if self.has_header { PCAP_HEADER_OCTETS } else { 0 };
        self.has_header = true;
        self.pipe
            .write_all(&octets[from..])
            .map_err(|error| failed("flowcapd", &error.to_string(), &self.log))
    }

    fn finish(mut self) -> io::Result<()> {
        drop(self.pipe);
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(failed("flowcapd", &status.to_string(), &self.log)),
        }
    }
}

/// One `nfcapd`, and sockets that send to it.
struct Receiver {
    child: Child,
    port: u16,
    directory: PathBuf,
    exporters: Vec<UdpSocket>,
}

impl Receiver {
    fn start(programs: &Programs, directory: &Path) -> io::Result<Self> {
        empty(directory)?;
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(directory.join("log"))?;
        let mut command = Command::new(&programs.nfcapd);
        command.args(["-4", "-b", "127.0.0.1", "-t", "3600", "-p", &port.to_string()]);
        command.args(["-B", &BUFFER_BYTES.to_string()]).arg(programs.nfcapd_lz4());
        command.arg("-w").arg(directory).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        let exporter = |index| {
            let socket = UdpSocket::bind((traffic::exporter_addr(index), 0))?;
            socket.connect((Ipv4Addr::LOCALHOST, port))?;
            Ok(socket)
        };
        let exporters = (0..EXPORTERS).map(exporter).collect::<io::Result<_>>()?;
        let mut receiver = Self { child, port, directory: directory.to_owned(), exporters };
        let start = Instant::now();
        while socket_state(port).is_none() {
            if receiver.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(receiver.failed("it does not listen"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(receiver)
    }

    fn failed(&self, what: &str) -> io::Error {
        failed("nfcapd", what, &self.directory.join("log"))
    }

    fn send(&mut self, datagrams: &[Timed]) -> io::Result<()> {
        self.wait_below(QUEUED_BYTES_MAX)?;
        for datagram in datagrams {
            self.exporters[datagram.exporter].send(&datagram.octets)?;
        }
        Ok(())
    }

    /// Waits until so much or less is queued, and nothing has been lost.
    fn wait_below(&self, queued_bytes_max: u64) -> io::Result<()> {
        let start = Instant::now();
        loop {
            // While other sockets come and go, the kernel's list may lack one.
            let Some(state) = socket_state(self.port) else {
                if start.elapsed() > GONE {
                    return Err(self.failed("it ended early"));
                }
                std::thread::sleep(LOOK);
                continue;
            };
            if state.dropped > 0 {
                return Err(self.failed(&format!("its socket dropped {} datagrams", state.dropped)));
            }
            if state.queued_bytes <= queued_bytes_max {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(self.failed("it takes nothing from its socket"));
            }
            std::thread::sleep(LOOK / 4);
        }
    }

    /// Ends it and moves its files to where those of the slot belong.
    fn finish(mut self, flows: &Path, slot_secs: u64) -> io::Result<()> {
        // What it has taken from the socket it may not have stored yet.
        for _ in 0..EMPTY_LOOKS {
            self.wait_below(0)?;
            std::thread::sleep(EMPTY_PAUSE);
        }
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(self.failed(&status.to_string()));
        }
        let entries = fs::read_dir(&self.directory)?.collect::<io::Result<Vec<_>>>()?;
        let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nfcapd.2"))
        });
        files.sort();
        // More than one where an hour of the clock ended meanwhile.
        for (index, file) in files.iter().enumerate() {
            let name = format!("nfcapd.{}", stamp(slot_secs + 60 * index as u64));
            #[expect(clippy::disallowed_methods, reason = "nobody reads them yet")]
            fs::rename(file, flows.join(name))?;
        }
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

fn failed(program: &str, what: &str, log: &Path) -> io::Error {
    let log = fs::read_to_string(log).unwrap_or_default();
    io::Error::other(format!("{program}: {what}\n{log}"))
}

/// A time of the day everything happens in as nfcapd names files: `202611211235`.
fn stamp(secs: u64) -> String {
    let minutes = 12 * 60 + (secs - START_SECS) / 60;
    format!("202611{:02}{:02}{:02}", 21 + minutes / 1_440, minutes / 60 % 24, minutes % 60)
}
