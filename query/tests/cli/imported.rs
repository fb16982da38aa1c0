//! `flowdump import` of files made here: what nfcapd writes is in the end-to-end tests.

use insta::assert_snapshot;

use crate::support::{Bench, T0_SECS};

/// A flow record: when it was received, seconds after the first, and its packets.
fn flow(received_secs: i64, packets: u64) -> Vec<u8> {
    let ms = |secs: i64| (secs * 1_000).cast_unsigned().to_le_bytes();
    let mut generic = Vec::new();
    generic.extend(ms(T0_SECS));
    generic.extend(ms(T0_SECS + 1));
    generic.extend(ms(T0_SECS + received_secs));
    generic.extend(packets.to_le_bytes());
    generic.extend((100 * packets).to_le_bytes());
    generic.extend([0x50, 0xc3, 0xbb, 0x01, 6, 0x1b, 0, 0]);
    let ipv4 = [2, 0, 0, 10, 1, 0, 0, 10];
    let extensions: [(u16, &[u8]); 2] = [(1, &generic), (2, &ipv4)];
    let mut record = vec![11, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 9];
    for (id, octets) in extensions {
        record.extend(id.to_le_bytes());
        record.extend((octets.len() as u16 + 4).to_le_bytes());
        record.extend(octets);
    }
    let size = record.len() as u16;
    record[2..4].copy_from_slice(&size.to_le_bytes());
    record
}

fn block(octets: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 4];
    block.extend((octets.len() as u32).to_le_bytes());
    block.extend([3, 0, 1, 0]);
    block.extend(octets);
    block
}

/// A file of one block, with statistics of so many flows.
fn file(records: &[Vec<u8>], flows: u64, packets: u64) -> Vec<u8> {
    let mut file = vec![0x0c, 0xa5, 2, 0];
    file.resize(40, 0);
    file.extend(block(&records.concat()));
    let end = file.len() as u64;
    file[18] = 1;
    file[24..32].copy_from_slice(&end.to_le_bytes());
    file[36] = 1;
    let mut appendix = vec![1, 0x80, 10, 0];
    appendix.extend(b"core1\0");
    appendix.extend([2, 0x80, 140, 0]);
    appendix.extend([flows, 100 * packets, packets].iter().flat_map(|n| n.to_le_bytes()));
    appendix.resize(10 + 140, 0);
    file.extend(block(&appendix));
    file
}

fn import(bench: &Bench, name: &str) -> String {
    bench.run(&["import", &format!("@/{name}"), "-w", "@/flows"])
}

#[test]
fn flows_go_to_the_slots_they_were_received_in() {
    let bench = Bench::empty();
    // Over 40 slots, by turns from the first and from the last, each of them twice.
    let mut records = Vec::new();
    for n in 0..40 {
        records.push(flow(300 * n, 1));
        records.push(flow(300 * (39 - n) + 7, 2));
    }
    std::fs::write(bench.path("nfcapd.1"), file(&records, 80, 120)).unwrap();
    let said = import(&bench, "nfcapd.1");
    assert!(said.starts_with("exit: 0\n") && said.contains("80 flows, as its statistics say"), "{said}");
    assert_snapshot!(bench.run(&["-r", "@/flows", "-I", "-o", "csv", "--utc"]), @r"
    exit: 0
    --- stdout
    ident,flows,flows_tcp,flows_udp,flows_icmp,flows_other,packets,packets_tcp,packets_udp,packets_icmp,packets_other,bytes,bytes_tcp,bytes_udp,bytes_icmp,bytes_other,first,last,sequence_failures,events
    core1,80,80,0,0,0,120,120,0,0,0,12000,12000,0,0,0,2026-05-28T20:26:40.000Z,2026-05-28T20:26:41.000Z,0,0
    ");
    // Each file has what its name says, and nothing twice.
    let (_, rows, _) = bench.run_raw(&["-r", "@/flows", "-q", "-o", "ndjson", "--utc"]);
    assert_eq!(rows.lines().count(), 80);
    let (_, files, _) = bench.run_raw(&["-r", "@/flows", "-q", "-g", "--utc"]);
    let starts: std::collections::BTreeSet<&str> =
        files.lines().map(|line| line.split_once(',').unwrap().0).collect();
    assert_eq!(starts.len(), 40, "{files}");
    let (code, said, _) = bench.run_raw(&["verify", "@/flows"]);
    assert!(code == 0 && said.ends_with("all sound\n"), "{said}");
    // The same again, also under another name and elsewhere.
    std::fs::create_dir(bench.path("copy")).unwrap();
    std::fs::copy(bench.path("nfcapd.1"), bench.path("copy/nfcapd.77")).unwrap();
    assert_snapshot!(import(&bench, "copy"), @r"
    exit: 0
    --- stdout
    [DIR]/copy/nfcapd.77: 80 flows, 80 of them imported before, as its statistics say
    1 file with 80 flows: 0 new files below `[DIR]/flows`, 80 flows imported before; 1 of 1 file with statistics agree
    ");
    let (_, again, _) = bench.run_raw(&["-r", "@/flows", "-q", "-o", "ndjson", "--utc"]);
    assert_eq!(again, rows);
}

#[test]
fn what_is_not_as_it_should_be_is_told() {
    let bench = Bench::empty();
    let records = [flow(0, 1), flow(1, 2), flow(2, 3)];
    // More flows in the statistics.
    std::fs::write(bench.path("more"), file(&records, 4, 10)).unwrap();
    assert_snapshot!(import(&bench, "more"), @r"
    exit: 0
    --- stdout
    [DIR]/more: 3 flows, not what its statistics say
    1 file with 3 flows: 1 new file below `[DIR]/flows`; 0 of 1 file with statistics agree
    --- stderr
    warning: `[DIR]/more` should have 4 flows, 10 packets and 1000 bytes by its statistics; it has 3, 6 and 600
    ");
    // The last record claims more than there is.
    let mut octets = file(&records, 3, 6);
    let size = records[0].len();
    octets[52 + 2 * size + 2] = 0xff;
    std::fs::write(bench.path("long"), &octets).unwrap();
    assert_snapshot!(import(&bench, "long"), @r"
    exit: 3
    --- stdout
    [DIR]/long: 2 flows, not what its statistics say
    1 file with 2 flows: 1 new file below `[DIR]/flows`; 0 of 1 file with statistics agree
    --- stderr
    error: can't read `[DIR]/long`: a record at octet 152 claims 255 octets, and 76 are there
    warning: `[DIR]/long` should have 3 flows, 6 packets and 600 bytes by its statistics; it has 2, 3 and 300
    ");
    // Addresses of IPv4 that claim to be of IPv6: the flow is there, without them.
    let mut octets = file(&records, 3, 6);
    octets[52 + 12 + 52] = 3;
    std::fs::write(bench.path("short"), &octets[..octets.len() - 5]).unwrap();
    assert_snapshot!(import(&bench, "short"), @r"
    exit: 3
    --- stdout
    [DIR]/short: 3 flows; it has no statistics, so nothing tells whether these are all
    1 file with 3 flows: 1 new file below `[DIR]/flows`; 0 of 0 files with statistics agree
    --- stderr
    error: can't read `[DIR]/short`: fields of 1 flows end too early
    ");
    // nfcapd was killed.
    let mut octets = file(&records, 3, 6);
    octets[18..40].fill(0);
    octets.truncate(40 + 12 + 3 * size);
    std::fs::write(bench.path("killed"), &octets).unwrap();
    assert_snapshot!(import(&bench, "killed"), @r"
    exit: 0
    --- stdout
    [DIR]/killed: 3 flows; nfcapd did not end it, so nothing tells whether these are all
    1 file with 3 flows: 1 new file below `[DIR]/flows`; 0 of 0 files with statistics agree
    ");
    std::fs::write(bench.path("cut"), &octets[..100]).unwrap();
    assert_snapshot!(import(&bench, "cut"), @r"
    exit: 3
    --- stdout
    [DIR]/cut: 0 flows; nfcapd did not end it, so nothing tells whether these are all
    1 file with 0 flows: 0 new files below `[DIR]/flows`; 0 of 0 files with statistics agree
    --- stderr
    error: can't read `[DIR]/cut`: block 1 at octet 40: it claims 228 octets, and 48 are there
    ");
    std::fs::write(bench.path("flows/file"), "").unwrap();
    assert_snapshot!(bench.run(&["import", "@/killed", "-w", "@/flows/file"]), @r"
    exit: 1
    --- stderr
    error: can't write `[DIR]/flows/file/date=2026-05-28/hour=20`: not a directory (os error 20)
    ");
}

/// What nfcapd writes of the exporter 192.0.2.1 with the number 1, version 9, domain 7.
fn exporter() -> Vec<u8> {
    let mut record = vec![7, 0, 32, 0, 9, 0, 0, 0];
    record.extend([0; 8]);
    record.extend([1, 2, 0, 192, 0, 0, 0, 0]);
    record.extend([2, 0, 1, 0, 7, 0, 0, 0]);
    record
}

/// A sampler of it.
fn sampler(id: i64, space: u8) -> Vec<u8> {
    let mut record = vec![15, 0, 24, 0, 1, 0, 2, 0];
    record.extend(id.to_le_bytes());
    record.extend([1, 0, 0, 0, space, 0, 0, 0]);
    record
}

/// nfcapd 1.7.1 stores a sampler that it was told itself (-2); later releases those of exporters.
#[test]
fn samplers_go_to_the_table_of_rates() {
    let bench = Bench::empty();
    let counters = {
        let mut record = vec![8, 0, 32, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0];
        record.extend(12_u64.to_le_bytes());
        record.extend(2_u64.to_le_bytes());
        record
    };
    // Their counters were not multiplied: no flag says so.
    let records = |rate: u8| {
        vec![
            exporter(),
            sampler(5, rate - 1),
            sampler(-1, 49),
            sampler(-2, 9),
            flow(0, 1),
            flow(1, 2),
            counters.clone(),
        ]
    };
    std::fs::write(bench.path("nfcapd.1"), file(&records(100), 2, 3)).unwrap();
    let said = import(&bench, "nfcapd.1");
    assert!(said.starts_with("exit: 0\n") && said.contains("2 flows, as its statistics say"), "{said}");
    let told = "exit: 0
--- stdout
Exporters:
SysID: 1, IP:        192.0.2.1, version: netflow v9, ID: 7, Sequence failures: 3, packets: 12, flows: 2
    Generic Sampler: one packet of 50
    Sampler: id: 5, one packet of 100
";
    assert_eq!(bench.run(&["-r", "@/flows", "-E"]), told);
    let rows = bench.run(&["-r", "@/flows", "-o", "csv:%pkt,%byt", "-q"]);
    assert!(rows.contains("\n50,5000\n100,10000\n"), "{rows}");
    // The same again changes nothing, whatever else is in the table stays.
    let table = bench.path("flows/.flowcap/sampling.table");
    let before = std::fs::read(&table).unwrap();
    import(&bench, "nfcapd.1");
    assert_eq!(std::fs::read(&table).unwrap(), before);
    // A table that can't be read is not replaced.
    std::fs::write(&table, "no table").unwrap();
    std::fs::write(bench.path("nfcapd.2"), file(&records(200), 2, 3)).unwrap();
    let said = import(&bench, "nfcapd.2");
    assert!(said.starts_with("exit: 3\n") && said.contains("so nothing is added to it"), "{said}");
    assert_eq!(std::fs::read(&table).unwrap(), b"no table");
}
