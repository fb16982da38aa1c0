//! `flowcapd` as a command: help, usage errors, a capture, and a real shutdown.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

#[path = "cli/settings.rs"]
mod settings;

fn flowcapd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowcapd"));
    command.args(args).env("TZ", "UTC");
    command
}

/// Exit code, stdout and stderr of a run, with directories of the test replaced.
fn snapshot(args: &[&str], directory: &Path) -> String {
    let output = flowcapd(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&*directory.to_string_lossy(), "[DIR]");
    format!(
        "exit: {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr)
    )
}

/// One NetFlow v5 datagram with one record: ICMP echo, 1 packet, 84 octets.
fn datagram() -> Vec<u8> {
    let mut datagram = vec![0; 72];
    datagram[..4].copy_from_slice(&[0, 5, 0, 1]);
    datagram[4..8].copy_from_slice(&1_000u32.to_be_bytes());
    datagram[8..12].copy_from_slice(&1_795_264_200u32.to_be_bytes());
    let record = &mut datagram[24..];
    record[..8].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    record[16..24].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 84]);
    record[24..28].copy_from_slice(&500u32.to_be_bytes());
    record[28..32].copy_from_slice(&900u32.to_be_bytes());
    record[34..36].copy_from_slice(&[8, 0]);
    record[38] = 1;
    datagram
}

#[test]
fn help_says_what_it_does() {
    insta::assert_snapshot!("help", snapshot(&["--help"], Path::new("/nowhere")));
}

#[test]
fn usage_errors_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let busy = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let root = directory.path().join("flows");
    let check = |args: &[&str], expected: &str| {
        let args = [args, &["-w", root.to_str().unwrap()]].concat();
        assert_eq!(snapshot(&args, directory.path()).replace(&port, "[PORT]"), expected);
    };
    check(
        &["-t", "0"],
        "exit: 2\n--- stdout\n--- stderr\nerror: slot length `0` is not between 1 and 3600 seconds\n\
         hint: a file lies wholly in one hour; `-t 300` is the default\n",
    );
    check(
        &["-u", "no-such-user"],
        "exit: 2\n--- stdout\n--- stderr\nerror: there is no user `no-such-user`\n\
         hint: `getent passwd` and `getent group` list those there are; numbers do as well\n",
    );
    check(
        &["-R", "collector2:9995"],
        "exit: 2\n--- stdout\n--- stderr\nerror: `collector2:9995` is not `HOST/PORT`\n\
         hint: for example `-R 192.0.2.2/9995`, `-R 2001:db8::2/9995` or `-R collector2.example`\n",
    );
    check(
        &["-p", &port, "-b", "127.0.0.2", "-R", &format!("127.0.0.2/{port}")],
        "exit: 1\n--- stdout\n--- stderr\nerror: `127.0.0.2/[PORT]` is this collector: what it repeats would come back for \
         ever\nhint: choose the address and port of another one\n",
    );
    check(
        &["-p", "0", "-J", "239.0.0.9%no-such-interface"],
        "exit: 1\n--- stdout\n--- stderr\nerror: cannot join the multicast group \
         `239.0.0.9%no-such-interface`: No such device (os error 19)\n\
         hint: name the interface, by itself or by its IPv4 address: `-J 239.0.0.9%eth0`\n",
    );
    check(
        &["-p", &port, "-b", "127.0.0.1"],
        "exit: 1\n--- stdout\n--- stderr\nerror: cannot listen on 127.0.0.1:[PORT]: Address already in use (os error 98)\n\
         hint: another program listens on [PORT]; choose other ports with `-p`\n",
    );
    std::fs::write(&root, "a file where the tree should be").unwrap();
    check(
        &["-p", "0"],
        "exit: 1\n--- stdout\n--- stderr\nerror: cannot create `[DIR]/flows`: Not a directory (os error 20)\n\
         hint: choose a directory you may write with `-w DIR`\n",
    );
}

#[test]
fn a_configuration_file_that_is_wrong_ends_the_program_before_it_listens() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let check = |name: &str, content: Option<&[u8]>, expected: &str| {
        if let Some(content) = content {
            std::fs::write(path(name), content).unwrap();
        }
        let said = snapshot(&["-c", &path(name)], directory.path());
        assert_eq!(said, format!("exit: 2\n--- stdout\n--- stderr\n{expected}"));
    };
    let hint = "hint: `-c FILE` names a configuration file; without it flags and defaults hold\n";
    let missing = "error: cannot read `[DIR]/a`: No such file or directory (os error 2)\n";
    check("a", None, &format!("{missing}{hint}"));
    check("b", Some(b"\xff"), &format!("error: cannot read `[DIR]/b`: it is not UTF-8 text\n{hint}"));
    let long = vec![b'#'; 2 << 20];
    check(
        "c",
        Some(&long),
        &format!("error: cannot read `[DIR]/c`: it is longer than 1048576 octets\n{hint}"),
    );
    check(
        "d",
        Some(b"slot = 60\nprot = 1\n"),
        "error: `[DIR]/d` line 2: unknown key `prot`\n  |\n2 | prot = 1\n  | ^^^^\nhint: did you mean `port`?\n",
    );
}

#[test]
fn clap_speaks_as_the_rest_does() {
    insta::assert_snapshot!("usage", snapshot(&["--prot", "1"], Path::new("/nowhere")));
}

/// A collector that listens on a free port of loopback.
struct Listening {
    child: Child,
    stderr: BufReader<ChildStderr>,
    addr: String,
    directory: TempDir,
}

impl Listening {
    fn start(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_str().unwrap().to_owned();
        Self::start_in(directory, &root, args)
    }

    fn start_in(directory: TempDir, root: &str, args: &[&str]) -> Self {
        let fixed = ["-p", "0", "-b", "127.0.0.1", "-w", root];
        let mut command = flowcapd(&[&fixed, args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let addr = line
            .strip_prefix("listening ")
            .and_then(|rest| rest.split("on ").nth(1))
            .and_then(|rest| rest.split(',').next())
            .unwrap();
        Self { child, stderr, addr: addr.to_owned(), directory }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end, which must be a success; what it said on stderr.
    fn finish(&mut self) -> String {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }
}

/// The numbers behind a word of `/proc/PID/status`.
fn status(pid: u32, word: &str) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(':')).unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn a_pid_file_lasts_as_long_as_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pid");
    let args = ["-P", path.to_str().unwrap(), "-B", "65536"];
    let mut collector = Listening::start(&args);
    let pid = collector.child.id();
    // It is written after the line that says where it listens.
    let start = Instant::now();
    while std::fs::read_to_string(&path).unwrap() != format!("{pid}\n") {
        assert!(start.elapsed() < Duration::from_secs(60), "the file stays empty");
        std::thread::sleep(Duration::from_millis(1));
    }
    let root = directory.path().join("flows");
    let second = [&["-p", "0", "-b", "127.0.0.1", "-w", root.to_str().unwrap()], &args[..]].concat();
    assert_eq!(
        snapshot(&second, directory.path()).replace(&pid.to_string(), "[PID]"),
        "exit: 1\n--- stdout\n--- stderr\nerror: `[DIR]/pid` belongs to the running process [PID]\n\
         hint: stop that one first, or choose another file with `-P FILE`\n"
    );
    assert!(!root.exists(), "nothing is begun");
    collector.signal(Signal::SIGTERM);
    collector.finish();
    assert!(!path.exists());
}

#[test]
fn privileges_are_given_up_for_good() {
    const NOBODY: u32 = 65_534;
    let directory = tempfile::tempdir().unwrap();
    let (root, path) = (directory.path().join("flows"), directory.path().join("pid"));
    let (root, path) = (root.to_str().unwrap(), path.to_str().unwrap());
    if !nix::unistd::Uid::effective().is_root() {
        let said = snapshot(&["-p", "0", "-b", "127.0.0.1", "-w", root, "-u", "0"], directory.path());
        assert!(said.starts_with("exit: 1\n--- stdout\n--- stderr\nerror: cannot become `0`: "), "{said}");
        return;
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let (root, path) = (root.to_owned(), path.to_owned());
    let mut collector = Listening::start_in(directory, &root, &["-u", "65534", "-g", "65534", "-P", &path]);
    let pid = collector.child.id();
    for word in ["Uid", "Gid"] {
        assert_eq!(status(pid, word), [NOBODY; 4]);
    }
    assert_eq!(status(pid, "Groups"), [NOBODY]);
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&datagram(), &collector.addr).unwrap();
    collector.signal(Signal::SIGTERM);
    let said = collector.finish();
    assert!(said.contains("flowcap_records_visible_total 1\n"), "{said}");
    let owner = |path: &Path| MetadataExt::uid(&std::fs::metadata(path).unwrap());
    assert_eq!(owner(Path::new(&root)), NOBODY);
    for entry in std::fs::read_dir(&root).unwrap().flatten() {
        assert_eq!(owner(&entry.path()), NOBODY);
    }
    // The directory is root's: the file can't be removed, but names nobody any more.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
}

/// What `ls -l /proc/self/fd` lists beyond the three standard ones and the listing itself.
fn descriptors(listing: &str) -> Vec<&str> {
    let entries = listing.lines().filter(|line| line.contains(" -> ") && !line.contains("/proc/"));
    let entries = entries.filter_map(|line| line.split_once(':')?.1.split_once(' '));
    entries
        .map(|(_, entry)| entry)
        .filter(|entry| !matches!(entry.as_bytes(), [b'0'..=b'2', b' ', ..]))
        .collect()
}

#[test]
fn a_command_for_each_file_inherits_no_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("list");
    std::fs::write(&script, "echo GOT \"$@\"\nexec ls -l /proc/self/fd\n").unwrap();
    // What this process was started with goes to all that it starts.
    let before = Command::new("sh").arg(&script).stdin(Stdio::null()).output().unwrap().stdout;
    let before = String::from_utf8(before).unwrap();
    let command = format!("sh {} %d/%f %t %u %i '%% %%'", script.display());
    let pid_file = directory.path().join("pid");
    let args = [
        "-x",
        &command,
        "-I",
        "a name",
        "-S",
        "2",
        "--tcp",
        "0",
        "-P",
        pid_file.to_str().unwrap(),
        "-t",
        "1",
    ];
    let mut collector = Listening::start(&args);
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&datagram(), &collector.addr).unwrap();
    // The command begins while everything is open.
    let mut said = String::new();
    while !said.contains("GOT") {
        assert!(collector.stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    collector.signal(Signal::SIGTERM);
    said += &collector.finish();
    assert!(said.contains(" 0 -> /dev/null\n"), "{said}");
    assert_eq!(descriptors(&said), descriptors(&before));
    let got = said.lines().find_map(|line| line.strip_prefix("GOT ")).unwrap();
    let words: Vec<_> = got.split(' ').collect();
    let (file, stamp) = (Path::new(words[0]), words[1]);
    assert!(file.is_absolute() && file.starts_with(collector.directory.path()), "{got}");
    assert_eq!(file.file_name().unwrap().to_str().unwrap(), format!("flowcap.{stamp}.parquet"));
    assert!(words[2].parse::<i64>().unwrap() > 1_700_000_000);
    assert_eq!(words[3..], ["a", "name", "%", "%"]);
    assert!(said.contains("flowcap_commands_done_total 1\n"), "{said}");
}

#[test]
fn datagrams_are_repeated_as_they_came() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let target = other.local_addr().unwrap().to_string().replace(':', "/");
    let mut collector = Listening::start(&["-R", &target]);
    let exporter = UdpSocket::bind("127.0.0.9:0").unwrap();
    let mut buffer = [0; 2_000];
    let payloads = [datagram(), b"no flow at all".to_vec()];
    for payload in &payloads {
        exporter.send_to(payload, &collector.addr).unwrap();
        let (n, peer) = other.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], payload);
        if nix::unistd::Uid::effective().is_root() {
            assert_eq!(peer, exporter.local_addr().unwrap());
        }
    }
    collector.signal(Signal::SIGTERM);
    let said = collector.finish();
    assert!(said.contains("flowcap_datagrams_repeated_total 2\n"), "{said}");
}

#[test]
fn a_signal_drains_publishes_and_counts() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut collector = Listening::start(&["-E"]);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        const SENT: usize = 100;
        for _ in 0..SENT {
            sender.send_to(&datagram(), &collector.addr).unwrap();
        }
        let (mut out, mut stdout) = (collector.child.stdout.take().unwrap(), String::new());
        let stderr = std::thread::scope(|scope| {
            // Read as it comes: a reader that stalls would be left behind.
            scope.spawn(|| out.read_to_string(&mut stdout).unwrap());
            // Everything sent lies in the socket or beyond: nothing of it may be lost.
            collector.signal(signal);
            collector.finish()
        });
        for counter in ["datagrams_received", "datagrams_decoded", "records_visible"] {
            assert!(stderr.contains(&format!("flowcap_{counter}_total {SENT}\n")), "{signal}: {stderr}");
        }
        assert_eq!(stdout.matches("Flow Record: \n").count(), SENT);
        assert!(stdout.contains("  ICMP         =               8.0 type.code\n"), "{stdout}");
        let n_entries = std::fs::read_dir(collector.directory.path()).unwrap().count();
        assert_eq!(n_entries, 2, "one date directory, and what a restart needs");
    }
}

#[test]
fn an_exporter_that_never_pauses_does_not_hold_up_the_end() {
    let mut collector = Listening::start(&[]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (datagram, start) = (datagram(), Instant::now());
    let mut is_asked = false;
    while collector.child.try_wait().unwrap().is_none() {
        // Nobody listens once the socket is closed; that is an error here, and the end there.
        let _ = sender.send_to(&datagram, &collector.addr);
        if !is_asked && start.elapsed() > Duration::from_millis(300) {
            collector.signal(Signal::SIGTERM);
            is_asked = true;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "SIGTERM is not obeyed under load");
    }
    collector.finish();
}

#[test]
fn a_reader_of_echo_that_stalls_stops_nothing() {
    let mut collector = Listening::start(&["-E"]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    const SENT: usize = 3_000;
    for n in 0..SENT {
        sender.send_to(&datagram(), &collector.addr).unwrap();
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // Its stdout, a pipe of 64 KiB, is full and never read.
    collector.signal(Signal::SIGTERM);
    let stderr = collector.finish();
    let count = |name: &str| {
        let value =
            stderr.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_total ")?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {stderr}"))
    };
    // On a slow day the kernel drops some, and says so.
    let n_received: usize = count("flowcap_datagrams_received");
    assert_eq!(n_received + count("flowcap_kernel_dropped_datagrams"), SENT);
    assert_eq!(count("flowcap_records_visible"), n_received);
    assert!(count("flowcap_echo_records_left_out") > 0 && n_received > SENT / 2, "{stderr}");
}

#[test]
fn a_collector_that_runs_says_how_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let (root, shown) = (directory.path().join("flows"), "[DIR]/flows");
    let args = ["status", "-w", root.to_str().unwrap()];
    let hint = "hint: say where it writes by `-w`, `-M` or `-c`, or where it serves HTTP by `--http`\n";
    let nobody = format!("exit: 1\n--- stdout\n--- stderr\nerror: no collector writes to `{shown}`\n{hint}");
    assert_eq!(snapshot(&args, directory.path()), nobody);
    let mut collector = Listening::start(&["--http", "0"]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&datagram(), &collector.addr).unwrap();
    let mut line = String::new();
    collector.stderr.read_line(&mut line).unwrap();
    let http = line.trim_end().strip_prefix("metrics and status on http://").unwrap();
    let http = http.strip_suffix('/').unwrap();
    for way in [["-w", collector.directory.path().to_str().unwrap()], ["--http", http]] {
        let start = Instant::now();
        let told = loop {
            let told = snapshot(&[&["status"], &way[..]].concat(), collector.directory.path());
            if told.contains("127.0.0.1  ") || start.elapsed() > Duration::from_secs(30) {
                break told;
            }
        };
        let begin = format!("exit: 0\n--- stdout\nflowcapd {}, running for ", env!("CARGO_PKG_VERSION"));
        assert!(told.starts_with(&begin), "{told}");
        assert!(told.contains("\nready: data is taken and kept\n"), "{told}");
        assert!(told.contains(&format!("\nUDP {} ", collector.addr)), "{told}");
        assert!(told.contains("\nexporters: 1 ") && told.ends_with("--- stderr\n"), "{told}");
        let json = snapshot(&[&["status", "--json"], &way[..]].concat(), collector.directory.path());
        assert!(json.contains("\"address\":\"127.0.0.1\",\"export_version\":5,"), "{json}");
    }
    collector.signal(Signal::SIGTERM);
    collector.finish();
    let gone = snapshot(&["status", "--http", http], directory.path());
    assert!(gone.starts_with("exit: 1\n--- stdout\n--- stderr\nerror: no collector answers on "), "{gone}");
    assert!(gone.ends_with(hint), "{gone}");
}

/// What a collector says on stderr until it listens and once more after a signal, when
/// `JOURNAL_STREAM` names stderr, or something else.
fn said(is_journal: bool, args: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".flowcap")).unwrap();
    std::fs::write(directory.path().join(".flowcap/state"), "no state").unwrap();
    let stderr = tempfile::NamedTempFile::new().unwrap();
    let (device, inode) = {
        let metadata = stderr.as_file().metadata().unwrap();
        (metadata.dev(), metadata.ino() + u64::from(!is_journal))
    };
    let fixed = ["-p", "0", "-b", "127.0.0.1", "-w", directory.path().to_str().unwrap()];
    let mut command = flowcapd(&[&fixed, args].concat());
    command.env("JOURNAL_STREAM", format!("{device}:{inode}")).stderr(stderr.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let text = || std::fs::read_to_string(stderr.path()).unwrap();
    let start = Instant::now();
    while !text().contains("listening on ") {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", text());
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = text();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    text
}

#[test]
fn the_journal_is_told_priorities_and_people_the_time() {
    let text = said(true, &[]);
    assert!(text.starts_with("<4>starting without the templates of the last run: "), "{text}");
    assert!(text.contains("\n<6>listening on 127.0.0.1:"), "{text}");
    let text = said(false, &[]);
    assert!(text.starts_with("20") && text.contains("Z  WARN starting without the templates"), "{text}");
    assert!(text.contains("\nlistening on 127.0.0.1:"), "{text}");
}

#[test]
fn little_is_said_at_the_start() {
    for args in [&["--http", "0"][..], &["--http", "0", "-vv"]] {
        let text = said(true, args);
        assert!(text.lines().count() <= 20, "{text}");
        assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
    }
}
