//! Time zones and their changes of the clock: where files lie and what they are called
//! is UTC, whatever `TZ` says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// When datagrams came: on both sides of changes between summer and winter time, with
/// local times that come twice (New York 01:30, Berlin 02:30) or never.
const RECEIVED_SECS: [u32; 8] = [
    1_772_953_170, // 2026-03-08T06:59:30Z: New York 01:59:30, then 03:00
    1_772_953_230,
    1_774_745_970, // 2026-03-29T00:59:30Z: Berlin 01:59:30, then 03:00
    1_774_746_030,
    1_792_888_200, // 2026-10-25T00:30Z and 01:30Z: Berlin 02:30 twice
    1_792_891_800,
    1_793_511_000, // 2026-11-01T05:30Z and 06:30Z: New York 01:30 twice
    1_793_514_600,
];

/// A pcap file of v5 packets of one flow each, one at each of the times.
fn capture() -> Vec<u8> {
    const RAW: u32 = 101;
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
    file.extend(RAW.to_le_bytes());
    for (n, secs) in RECEIVED_SECS.iter().enumerate() {
        let mut packet = vec![0, 5, 0, 1, 0, 0, 0, 1];
        packet.extend(secs.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0, 0, 0, n as u8, 0, 0, 0, 0]);
        packet.extend([192, 0, 2, n as u8]);
        packet.extend([0; 44]);
        let mut frame = vec![0x45, 0, 0, 28 + packet.len() as u8, 0, 0, 0, 0, 64, 17, 0, 0];
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 8, 7, 0, 8 + packet.len() as u8, 0, 0]);
        frame.extend(packet);
        let length = (frame.len() as u32).to_le_bytes();
        file.extend([secs.to_le_bytes(), [0; 4], length, length].concat());
        file.extend(frame);
    }
    file
}

/// Files below a directory, from there, in order; hidden ones left out.
fn files(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            match entry.file_type().unwrap() {
                _ if is_hidden => {}
                kind if kind.is_dir() => directories.push(entry.path()),
                _ => found.push(entry.path().strip_prefix(root).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// What a collector in this time zone makes of the capture.
fn decode(directory: &TempDir, capture: &Path, zone: &str, args: &[&str]) -> Vec<PathBuf> {
    let root = directory.path().join(format!("{zone} {}", args.concat()).replace('/', "_"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowcapd"));
    let output =
        command.arg("-f").arg(capture).arg("-w").arg(&root).args(args).env("TZ", zone).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{zone}: {told}");
    let visible = format!("flowcap_records_visible_total {}", RECEIVED_SECS.len());
    assert!(told.lines().any(|line| line == visible), "{zone}: {told}");
    files(&root)
}

#[test]
fn files_lie_where_utc_says_in_any_zone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dst.pcap");
    fs::write(&path, capture()).unwrap();
    for hierarchy in [None, Some("0"), Some("2"), Some("4"), Some("6"), Some("8")] {
        let args: Vec<_> = hierarchy.map(|number| ["-S", number]).into_iter().flatten().collect();
        let expected = decode(&directory, &path, "UTC", &args);
        assert_eq!(expected.len(), RECEIVED_SECS.len(), "{expected:?}");
        for zone in ["America/New_York", "Europe/Berlin", "Pacific/Kiritimati", "XXX4YYY,M3.2.0,M11.1.0"] {
            assert_eq!(decode(&directory, &path, zone, &args), expected, "{zone}, -S {hierarchy:?}");
        }
    }
    let in_hours = decode(&directory, &path, "America/New_York", &["-S", "2", "-t", "60"]);
    for (file, expected) in in_hours.iter().zip([
        "2026/03/08/06/flowcap.202603080659.parquet",
        "2026/03/08/07/flowcap.202603080700.parquet",
        "2026/03/29/00/flowcap.202603290059.parquet",
        "2026/03/29/01/flowcap.202603290100.parquet",
        "2026/10/25/00/flowcap.202610250030.parquet",
        "2026/10/25/01/flowcap.202610250130.parquet",
        "2026/11/01/05/flowcap.202611010530.parquet",
        "2026/11/01/06/flowcap.202611010630.parquet",
    ]) {
        assert_eq!(file, Path::new(expected));
    }
}
