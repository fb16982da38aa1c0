//! Groups that have no room in memory are sorted on disk, and printed as if they had.

use std::ffi::OsString;

use flow_common::column::ColumnId;
use flow_query::{Env, Zone};

use crate::support::{Bench, Fixture, NOW, Row, write};

/// Rows of some hundred groups by each key, several to one, and back in the other direction.
fn bench() -> Bench {
    let bench = Bench::empty();
    for file in 0..3 {
        let row = |n: i64| {
            let n = 900 * file + n;
            let (of, n_mixed) = (n / 3, n * 977 % 600_000);
            let (client, port) = (format!("10.0.{}.{}", of % 13, of % 250), 40_000 + of);
            let ends = ((&*client, port), ("192.0.2.1", 443));
            let ((src, dst), back) = (ends, n % 3 == 0);
            let (src, dst) = if back { (dst, src) } else { (src, dst) };
            let row = Row::flow((n_mixed, n_mixed + n), 6, src, dst, (n % 7 + 1, n * 31 % 900));
            let row = row.text(ColumnId::Username, &format!("user {}", n % 700));
            let row = row.int(ColumnId::SamplingRate, 1 + n % 3).int(ColumnId::SrcMask, 20 + n % 10);
            if n % 50 == 0 { row.without(ColumnId::Username).without(ColumnId::SrcPort) } else { row }
        };
        let rows: Vec<_> = (0..900).map(row).collect();
        let fixture = Fixture { group_rows: 300, ..Fixture::default() };
        write(&bench.path(&format!("{file}.parquet")), &rows, &fixture);
    }
    bench
}

/// Exit code, octets and messages of an answer, with what is written to a file behind them.
fn octets(bench: &Bench, args: &[&str]) -> (u8, Vec<u8>, String) {
    let file = bench.path("written");
    let args = args.iter().map(|arg| match *arg {
        "@" => file.clone().into_os_string(),
        arg => OsString::from(arg),
    });
    let directory = bench.directory.path().as_os_str().to_owned();
    let all = ["flowdump".into(), "-r".into(), directory, "--utc".into()].into_iter().chain(args);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let code = flow_query::run(all, &mut stdout, &mut stderr, Env { now: NOW, zone: Zone::Utc });
    if let Ok(written) = std::fs::read(&file) {
        stdout.extend(written);
        std::fs::remove_file(file).unwrap();
    }
    (code, stdout, String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn check(bench: &Bench, args: &[&str]) {
    let args = [args, &["-q"]].concat();
    let whole = octets(bench, &args);
    assert!(whole.0 == 0 && whole.1.len() > 1_000, "{args:?}: {}", whole.2);
    for threads in ["1", "2", "8"] {
        let spilled = octets(bench, &[&args[..], &["--threads", threads, "--memory", "64k"]].concat());
        let differs = spilled.1.iter().zip(&whole.1).position(|(one, other)| one != other);
        let at = differs.unwrap_or(0).saturating_sub(100);
        let near = |octets: &[u8]| {
            String::from_utf8_lossy(octets.get(at..).unwrap_or_default())
                .chars()
                .take(200)
                .collect::<String>()
        };
        assert!(
            spilled == whole,
            "{args:?} {threads}: at {differs:?} {} octets for {}, {}\n{}\n{}",
            spilled.1.len(),
            whole.1.len(),
            spilled.2,
            near(&spilled.1),
            near(&whole.1)
        );
    }
}

#[test]
fn every_format_prints_groups_from_disk() {
    let bench = bench();
    for format in [
        "csv",
        "csv-fast",
        "json",
        "ndjson",
        "md",
        "raw",
        "line",
        "long",
        "arrow",
        "nfjson",
        "nfndjson",
        "fmt:%ts %sa %sp %byt %cnt",
        "csv:%sa,%byt",
        "md:%sa,%byt",
        "arrow:src_addr,bytes",
    ] {
        check(&bench, &["-o", format, "-A", "srcip,srcport"]);
        check(&bench, &["-o", format, "-s", "srcip/bytes/flows:a", "-n", "0"]);
        check(&bench, &["-o", format, "-s", "record/packets", "-n", "0"]);
    }
    check(&bench, &["-w", "@", "-A", "srcip,username", "-O", "bytes"]);
}

#[test]
fn every_kind_of_groups_is_the_same_from_disk() {
    let bench = bench();
    let asked: [&[&str]; 18] = [
        &["-A", "srcip,srcport", "-O", "bytes,tstart:d,flows"],
        &["-A", "srcip,srcport", "-O", "bps:a", "-n", "700"],
        &["-A", "username"],
        &["-A", "srcnet,username", "-O", "packets"],
        &["-s", "net/bytes", "-s", "srcport:p/bpp", "-n", "0"],
        &["-s", "srcip/bytes", "-n", "100", "--two-passes-from", "0", "-o", "csv"],
        &["-a"],
        &["-b", "-O", "bytes"],
        &["-B", "-O", "opackets:a,tend"],
        &["-b", "-P", "out packets > 3"],
        &["-A", "srcip,srcport", "-P", "bytes > 300 and flows < 3", "-n", "50"],
        &["--bucket", "10s", "-A", "srcip"],
        &["--bucket", "1m", "-A", "srcip", "-n", "3"],
        &["--bucket", "1m", "-s", "srcip/bytes", "-n", "5"],
        &[
            "--bucket",
            "1m",
            "-A",
            "srcip",
            "--percentile",
            "bytes:90,bps@10s:95",
            "-O",
            "percentile",
            "-n",
            "40",
        ],
        &["-A", "srcip", "--distinct", "srcport,username", "--error", "-O", "distinct:username"],
        &["-A", "username", "--percentile", "bytes:50,duration:99,packets@1m:75", "--distinct", "srcip"],
        &["-A", "srcport", "--percentile", "bpp:0", "--error", "-O", "error:a", "-o", "json"],
    ];
    asked.iter().for_each(|args| check(&bench, args));
}
