//! What flowcapd wrote is sound, and what its metadata says of exporters.

use std::fs;
use std::path::{Path, PathBuf};

use flow_tests::daemon::decode_capture;
use flow_tests::query::{flowdump, flowdump_with};
use flow_tests::{captures, testdata};

fn parquet_below(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find_map(|path| match path.extension() {
        Some(extension) if extension == "parquet" => Some(path),
        _ => parquet_below(&path),
    })
}

#[test]
fn files_of_every_capture_are_sound() {
    for name in captures() {
        let finished = decode_capture(&testdata(&format!("{name}.pcap")));
        let root = finished.directory.path();
        let output = flowdump_with(&["verify", root.to_str().unwrap()]);
        assert!(output.code == 0 && output.stderr.is_empty(), "{name}: {output:?}");
        assert!(output.stdout.ends_with("; all sound\n"), "{name}: {}", output.stdout);
    }
}

#[test]
fn what_lies_beside_flows_is_read_too() {
    let finished = decode_capture(&testdata("v9-softflowd-sampled.pcap"));
    let root = finished.directory.path();
    let verify = || flowdump_with(&["verify", root.to_str().unwrap()]);
    let output = verify();
    for what in ["names.table: sound", "sampling.table: sound", ".options: sound"] {
        assert!(output.stdout.contains(what), "{what}: {}", output.stdout);
    }
    let table = root.join(".flowcap/names.table");
    let octets = fs::read(&table).unwrap();
    fs::write(&table, &octets[..octets.len() / 2]).unwrap();
    let output = verify();
    assert_eq!(output.code, 3, "{output:?}");
    assert!(
        output.stdout.contains("names.table: damaged; it is no Parquet file, or cut short\n"),
        "{output:?}"
    );
}

#[test]
fn damage_within_pages_is_found() {
    let finished = decode_capture(&testdata("v9-softflowd.pcap"));
    let file = parquet_below(finished.directory.path()).unwrap();
    let octets = fs::read(&file).unwrap();
    let damaged = finished.directory.path().join("damaged.parquet");
    let (mut found, mut tried) = (0, 0);
    // Of the pages; what lies behind them is indexes, filters and the footer.
    for at in (4..octets.len() / 3).step_by(97) {
        let mut octets = octets.clone();
        octets[at] ^= 0x55;
        fs::write(&damaged, &octets).unwrap();
        let output = flowdump_with(&["verify", damaged.to_str().unwrap()]);
        assert!(matches!(output.code, 0 | 3), "octet {at}: {output:?}");
        tried += 1;
        found += u32::from(output.code == 3);
    }
    // Pages have no checksums: an address that is another, or a port, can't be told.
    assert!(tried > 20 && found * 4 > tried, "{found} of {tried} were found");
}

#[test]
fn exporters_are_those_of_the_footers() {
    let finished = decode_capture(&testdata("v9-softflowd-sampled.pcap"));
    let output = flowdump(finished.directory.path(), &["-E"]);
    assert_eq!(output.code, 0, "{output:?}");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines[0], "Exporters:");
    assert!(lines[1].starts_with("SysID: 1, IP:"), "{output:?}");
    assert!(lines[1].contains("version: netflow v9, ID: 0, Sequence failures: 0, "), "{output:?}");
    assert!(lines[2..].iter().any(|line| line.ends_with("one packet of 10")), "{output:?}");
    let addr = lines[1].trim_start_matches("SysID: 1, IP:").trim().split(',').next().unwrap();
    let key = "abcdefghijklmnopqrstuvwxyz012345";
    let hidden = flowdump(finished.directory.path(), &["-E", "--anonymize", key]);
    assert!(hidden.code == 0 && !hidden.stdout.contains(addr), "{addr}: {hidden:?}");
    let files = flowdump(finished.directory.path(), &["-g"]);
    let info = flowdump(finished.directory.path(), &["-I"]);
    let flows: u64 = files
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(info.stdout.contains(&format!("Flows: {flows}\n")), "{files:?} {info:?}");
}
