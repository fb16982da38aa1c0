//! The files below `packaging/` against the program, and against systemd's own checks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flow_common::limits::PORTS_DEFAULT;

/// Highest exposure that `systemd-analyze security` may find, in tenths: 0 is none, 100
/// an unconfined root.
const EXPOSURE_TENTHS_MAX: u32 = 15;

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Values of a key of a unit, in order.
fn values(unit: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(packaging(unit)).unwrap();
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// Runs `systemd-analyze`, where there is one.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn systemd_analyze(args: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(args).env("SYSTEMD_COLORS", "0").output();
    if output.is_err() {
        println!("skipped: there is no systemd-analyze; the package `systemd` has it");
    }
    output.ok()
}

#[test]
fn the_service_has_what_it_needs_and_no_more() {
    let unit = packaging("flowcap.service");
    let args = ["security", "--offline=true", "--no-pager", unit.to_str().unwrap()];
    let Some(output) = systemd_analyze(&args) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    let overall =
        said.lines().find_map(|line| line.split_once("Overall exposure level for flowcap.service: "));
    let exposure = overall.and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    let exposure = exposure.unwrap_or_else(|| panic!("{output:?}"));
    assert!(exposure * 10.0 <= f64::from(EXPOSURE_TENTHS_MAX), "{said}");
}

#[test]
fn systemd_understands_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // The program is not installed here.
    let service = fs::read_to_string(packaging("flowcap.service")).unwrap();
    let service = service.replace("/usr/bin/flowcapd", env!("CARGO_BIN_EXE_flowcapd"));
    fs::write(path("flowcap.service"), service).unwrap();
    fs::copy(packaging("flowcap.socket"), path("flowcap.socket")).unwrap();
    let [service, socket] = ["flowcap.service", "flowcap.socket"].map(path);
    let args = ["verify", "--man=no", service.to_str().unwrap(), socket.to_str().unwrap()];
    let Some(output) = systemd_analyze(&args) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    // It also speaks of units of this machine.
    let of_ours: Vec<_> = said.lines().filter(|line| line.contains("flowcap")).collect();
    assert!(of_ours.is_empty(), "{said}");
}

#[test]
fn the_socket_unit_holds_the_usual_ports() {
    assert_eq!(values("flowcap.socket", "ListenDatagram"), PORTS_DEFAULT.map(|port| port.to_string()));
    let sysctl = fs::read_to_string(packaging("flowcap.sysctl")).unwrap();
    let rmem_max: u64 =
        sysctl.lines().find_map(|line| line.strip_prefix("net.core.rmem_max = ")?.parse().ok()).unwrap();
    assert_eq!(values("flowcap.socket", "ReceiveBuffer"), [format!("{}M", rmem_max >> 20)]);
}

#[test]
fn the_service_writes_to_the_directory_it_has() {
    let state = values("flowcap.service", "StateDirectory");
    let settings = fs::read_to_string(packaging("service.toml")).unwrap();
    assert!(settings.contains(&format!("write-dir = \"/var/lib/{}\"\n", state[0])), "{settings}");
    let check = Command::new(env!("CARGO_BIN_EXE_flowcapd"))
        .args(["check", "-c", packaging("service.toml").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn the_package_has_every_file() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, assets) = manifest.split_once("\nassets = [\n").unwrap();
    let sources = assets.lines().map_while(|line| line.trim().strip_prefix("[\"")?.split('"').next());
    let sources: Vec<_> = sources.filter(|source| !source.starts_with("target/release/")).collect();
    assert!(sources.len() > 5, "{sources:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for source in sources {
        // A star stands for the rest of names.
        let (directory, name) = source.rsplit_once('/').unwrap();
        let (head, tail) = name.split_once('*').unwrap_or((name, ""));
        let is_there = fs::read_dir(root.join(directory)).unwrap().any(|entry| {
            let found = entry.unwrap().file_name().into_string().unwrap();
            if name.contains('*') { found.starts_with(head) && found.ends_with(tail) } else { found == name }
        });
        assert!(is_there, "{source}");
    }
}
