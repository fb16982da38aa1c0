//! Settings: checked, shown, changed while it runs; files that go by them.

use std::io::BufRead;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Listening, datagram, flowcapd, snapshot};

impl Listening {
    /// Starts with a configuration file beside the tree.
    fn start_with(config: &Path, text: &str) -> Self {
        std::fs::write(config, text).unwrap();
        Self::start(&["-c", config.to_str().unwrap()])
    }

    /// Reads stderr up to a line that says this.
    fn wait_for(&mut self, part: &str) -> String {
        let mut said = String::new();
        loop {
            let from = said.len();
            assert_ne!(self.stderr.read_line(&mut said).unwrap(), 0, "it has ended: {said}");
            if said[from..].contains(part) {
                return said;
            }
        }
    }

    /// Writes another configuration, lets it be read, and returns what was said.
    fn reload(&mut self, config: &Path, text: &str, until: &str) -> String {
        std::fs::write(config, text).unwrap();
        self.signal(Signal::SIGHUP);
        self.wait_for(until)
    }

    /// Visible files of flow records.
    fn n_files(&self) -> usize {
        fn count(directory: &Path) -> usize {
            let entries = std::fs::read_dir(directory).unwrap().flatten();
            let count_one = |path: std::path::PathBuf| match path.is_dir() {
                true => count(&path),
                false => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
            };
            entries.map(|entry| count_one(entry.path())).sum()
        }
        count(self.directory.path())
    }
}

fn counter(stderr: &str, name: &str) -> usize {
    let value = stderr.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {stderr}"))
}

#[test]
fn a_configuration_is_taken_over_while_it_runs() {
    let other = tempfile::tempdir().unwrap();
    let config = other.path().join("flowcap.toml");
    let mut collector = Listening::start_with(&config, "verbose = 0\n");
    let said = collector.reload(&config, "prot = 1\n", "warning:");
    let said = said.replace(&*other.path().to_string_lossy(), "[DIR]");
    assert_eq!(
        said,
        "error: `[DIR]/flowcap.toml` line 1: unknown key `prot`\n  |\n1 | prot = 1\n  | ^^^^\n\
         hint: did you mean `port`?\nwarning: the configuration of before still holds\n"
    );
    let said = collector.reload(&config, "allow = '192.0.2.0/24'\nident = 'x'\nverbose = 1\n", "warning:");
    assert_eq!(
        said,
        "configuration read again: changed `allow`, `verbose`\n\
         warning: `ident` will change when flowcapd is started again\n"
    );
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&datagram(), &collector.addr).unwrap();
    collector.wait_for("127.0.0.1: ");
    let element = "[[element]]\nid = 82\nname = 'interface_name'\n";
    let said = collector.reload(&config, element, "configuration");
    assert!(said.ends_with("configuration read again: changed `allow`, `verbose`, `element`\n"), "{said}");
    sender.send_to(&datagram(), &collector.addr).unwrap();
    collector.signal(Signal::SIGTERM);
    let stderr = collector.finish();
    assert_eq!(counter(&stderr, "flowcap_datagrams_received_total"), 2);
    assert_eq!(counter(&stderr, "flowcap_datagrams_rejected_total{reason=\"not_allowed\"}"), 1, "{stderr}");
    assert_eq!(counter(&stderr, "flowcap_records_visible_total"), 1);
}

#[test]
fn nothing_is_lost_by_reading_the_configuration_again_or_rotating() {
    let other = tempfile::tempdir().unwrap();
    let config = other.path().join("flowcap.toml");
    let mut collector = Listening::start_with(&config, "slot = 3600\n");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    const SENT: usize = 3_000;
    for n in 0..SENT {
        sender.send_to(&datagram(), &collector.addr).unwrap();
        if n % 30 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        if n % 500 == 499 {
            let element = format!("slot = 3600\n[[element]]\nid = 82\nname = 'name_{n}'\n");
            std::fs::write(&config, if n % 1_000 == 999 { element.as_str() } else { "slot = 3600\n" })
                .unwrap();
            collector.signal(Signal::SIGHUP);
            collector.signal(Signal::SIGUSR1);
        }
    }
    collector.signal(Signal::SIGTERM);
    let stderr = collector.finish();
    let n_received = counter(&stderr, "flowcap_datagrams_received_total");
    assert_eq!(n_received + counter(&stderr, "flowcap_kernel_dropped_datagrams_total"), SENT);
    assert_eq!(counter(&stderr, "flowcap_records_visible_total"), n_received);
    assert!(n_received > SENT / 2, "{stderr}");
}

#[test]
fn a_signal_makes_what_has_come_visible() {
    let mut collector = Listening::start(&["-t", "3600"]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 1..=3 {
        sender.send_to(&datagram(), &collector.addr).unwrap();
        let start = Instant::now();
        while collector.n_files() < n {
            // Again and again: the signal may be faster than the datagram.
            collector.signal(Signal::SIGUSR1);
            assert!(start.elapsed() < Duration::from_secs(60), "SIGUSR1 is not obeyed");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    collector.signal(Signal::SIGUSR1);
    collector.signal(Signal::SIGTERM);
    let stderr = collector.finish();
    assert_eq!(counter(&stderr, "flowcap_records_visible_total"), 3);
    assert_eq!(collector.n_files(), 3, "a slot without records has no file");
}

#[test]
fn check_says_all_that_is_wrong_and_dump_is_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let busy = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let check = |args: &[&str]| snapshot(args, directory.path()).replace(&port, "[PORT]");
    std::fs::write(path("file"), "").unwrap();
    let (file, new) = (path("file"), path("new/tree"));
    let sound = check(&["check", "-c", &file, "-w", &new, "-p", &port, "-b", "127.0.0.1"]);
    let expected = "exit: 0\n--- stdout\nconfiguration  [DIR]/file\nlistens on     UDP 127.0.0.1:[PORT]\n               \
                    in use now, by flowcapd itself if it runs: 127.0.0.1:[PORT]\nwrites to      [DIR]/new/tree, ";
    assert!(sound.starts_with(expected), "{sound}");
    assert!(sound.ends_with("--- stderr\n") && !Path::new(&new).exists(), "{sound}");
    let broken = ["-b", "192.0.2.1", "-p", "0", "--tls", "--tls-cert", &file, "--tls-key", &file];
    let broken =
        check(&[&["check", "--tls-no-client-auth", "-w", &format!("{file}/x")], &broken[..]].concat());
    let errors: Vec<_> = broken.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(broken.starts_with("exit: 2\n"), "{broken}");
    assert_eq!(
        errors,
        [
            "error: cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99)",
            "error: cannot listen on 192.0.2.1:4740: Cannot assign requested address (os error 99)",
            "error: `[DIR]/file` holds no certificate",
            "error: cannot create `[DIR]/file/x`: `[DIR]/file` is no directory",
        ]
    );
    let dump = flowcapd(&["-t", "60", "config", "dump"]).output().unwrap();
    std::fs::write(path("dump"), &dump.stdout).unwrap();
    let again = flowcapd(&["config", "dump", "-c", &path("dump")]).output().unwrap();
    let values = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().map(|line| line.split("  #").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&dump.stdout), values(&again.stdout));
    assert!(String::from_utf8_lossy(&again.stdout).contains("slot = 60"));
}

/// A capture of one datagram to a port of NetFlow, received so many seconds after 1970.
fn capture(received_secs: u32) -> Vec<u8> {
    let payload = datagram();
    let n_udp = 8 + payload.len() as u16;
    // Raw IPv4, without a link layer.
    let mut capture = [0xa1b2_c3d4u32, 0x0002_0004, 0, 0, 65_535, 101].map(u32::to_be_bytes).concat();
    let n_ip = u32::from(20 + n_udp);
    capture.extend([received_secs, 0, n_ip, n_ip].map(u32::to_be_bytes).concat());
    capture.extend([0x45, 0]);
    capture.extend((20 + n_udp).to_be_bytes());
    capture.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 9, 192, 0, 2, 10]);
    capture.extend([4_000, 9_995, n_udp, 0].map(u16::to_be_bytes).concat());
    capture.extend(payload);
    capture
}

#[test]
fn old_files_go_when_asked_and_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (root, pcap) = (directory.path().join("flows"), directory.path().join("old.pcap"));
    std::fs::write(&pcap, capture(1_000_000_000)).unwrap();
    let name = "date=2001-09-09/hour=01/flowcap.200109090145.parquet";
    let run = |args: &[&str]| snapshot(&[args, &["-w", root.to_str().unwrap()]].concat(), directory.path());
    let is_there = || root.join(name).exists();
    let collect = || run(&["-f", pcap.to_str().unwrap()]);
    assert!(collect().starts_with("exit: 0") && is_there());
    let ruleless = run(&["expire"]);
    assert!(ruleless.contains("error: there is no rule by which files may go\n"), "{ruleless}");
    let tried = run(&["expire", "--dry-run", "--max-age", "1y"]);
    assert!(tried.contains(&format!("--- stdout\n[DIR]/flows/{name}: older than 1y, ")), "{tried}");
    assert!(tried.contains("--- stderr\n[DIR]/flows: would delete 1 files, ") && is_there(), "{tried}");
    let done = run(&["expire", "--max-age", "1y"]);
    assert!(done.contains("--- stderr\n[DIR]/flows: deleted 1 files, ") && !is_there(), "{done}");
    assert!(!root.join("date=2001-09-09").exists());

    collect();
    let mut command =
        flowcapd(&["-p", "0", "-b", "127.0.0.1", "--max-age", "1y", "-w", root.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while is_there() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing looks after the tree");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}
