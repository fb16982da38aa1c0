//! Answers as files: `-w` and `-o parquet`.

use std::path::Path;
use std::process::Command;

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::tables::{RateRow, RateScope};
use flow_common::time::Timestamp;
use insta::assert_snapshot;

use crate::extra::every_kind;
use crate::support::{Bench, Fixture, Row, T0_SECS, sample, write};
use crate::tables::put_into;

/// What a question about the file `name` prints.
fn ask(bench: &Bench, name: &str, args: &[&str]) -> String {
    let path = format!("@/{name}");
    bench.run(&[&["--utc", "-r", &path], args].concat())
}

#[track_caller]
fn written(bench: &Bench, args: &[&str]) {
    let text = bench.run(&[&["-r", "@/a", "-q", "-w", "@/b.parquet"], args].concat());
    assert_eq!(text, "exit: 0\n");
}

fn bench(rows: &[Row], fixture: &Fixture<'_>) -> Bench {
    let bench = Bench::empty();
    write(&bench.path("a/a.parquet"), rows, fixture);
    bench
}

#[test]
fn flows_are_read_again_as_they_were() {
    let full = sample()
        .into_iter()
        .map(|row| {
            row.octets(ColumnId::InSrcMac, &[0, 1, 2, 3, 4, 5])
                .text(ColumnId::Username, "ann")
                .octets(ColumnId::IngressAcl, &[7; 12])
                .set(ColumnId::MplsLabels, crate::support::Cell::Labels(vec![16, 33]))
                .set(ColumnId::Other, crate::support::Cell::Other(vec![(252, vec![0, 7]), (253, vec![])]))
        })
        .take(3);
    let rows: Vec<Row> = full.chain(sample()).collect();
    let nulls = |n: usize| {
        every_kind()
            .into_iter()
            .map(|(name, kind, array)| {
                let indices =
                    arrow_array::UInt32Array::from_iter((0..n).map(|at| (at < 3).then_some(at as u32)));
                (name, kind, arrow_select::take::take(&array, &indices, None).unwrap())
            })
            .collect()
    };
    let fixture = Fixture { extra: nulls(rows.len()), group_rows: 4, ..Fixture::default() };
    let bench = bench(&rows, &fixture);
    written(&bench, &[]);
    for args in [
        &["-o", "ndjson"][..],
        &["-I"],
        &["-o", "csv", "my_user joe or proto tcp"],
        &["-s", "srcip/bytes", "-s", "my_temp"],
        &["-A", "srcip4/24,dstport", "-O", "bytes"],
        &["-o", "null", "-t", "2026/05/28.20:26:40-2026/05/28.20:26:50"],
    ] {
        let text = |name| {
            let text = ask(&bench, name, args);
            text.lines()
                .filter(|line| !line.starts_with("Total flows processed"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(text("b.parquet"), text("a"), "{args:?}");
    }
    // Ranked, and many.
    let many: Vec<Row> = (0..40_000)
        .map(|n| {
            Row::flow((n, n + n % 7), 17, ("10.0.0.1", n % 50_000), ("10.0.0.2", 53), (1, n * 7_919 % 10_007))
        })
        .collect();
    let fixture = Fixture { group_rows: 5_000, ..Fixture::default() };
    let bench = self::bench(&many, &fixture);
    for args in [&["--threads", "4"][..], &["-O", "bytes,tstart"], &["-O", "bytes", "-n", "70"]] {
        std::fs::remove_file(bench.path("b.parquet")).ok();
        written(&bench, args);
        let text = ask(&bench, "b.parquet", &["-o", "ndjson"]);
        assert!(text == ask(&bench, "a", &[&["-o", "ndjson"], args].concat()), "{args:?}");
    }
    // With other addresses.
    std::fs::remove_file(bench.path("b.parquet")).unwrap();
    let key = ["--anonymize", "abcdefghijklmnopqrstuvwxyz012345"];
    written(&bench, &[&key[..], &["-c", "5"]].concat());
    let text = ask(&bench, "b.parquet", &["-o", "ndjson"]);
    assert_eq!(text, ask(&bench, "a", &["-o", "ndjson", key[0], key[1], "-c", "5"]));
    assert!(!text.contains("10.0.0.1"), "{text}");
    // Some of them.
    let bench = self::bench(&sample(), &Fixture::default());
    written(&bench, &["-c", "2", "proto tcp"]);
    assert_eq!(
        ask(&bench, "b.parquet", &["-o", "ndjson"]),
        ask(&bench, "a", &["-o", "ndjson", "-c", "2", "proto tcp"])
    );
}

#[test]
fn sampled_flows_keep_their_rate() {
    let rows: Vec<Row> = sample()
        .into_iter()
        .map(|row| row.int(ColumnId::ObservationDomain, 7))
        .enumerate()
        .map(|(at, row)| if at % 2 == 0 { row.int(ColumnId::SamplingRate, 100) } else { row })
        .collect();
    let bench = bench(&rows, &Fixture::default());
    // That of the others stands in a table, which is not beside the new file.
    let told = RateRow {
        exporter_addr: Addr16::from_v4([192, 0, 2, 1]),
        export_version: 9,
        observation_domain: 7,
        scope: RateScope::Domain,
        scope_id: 0,
        valid_from: Timestamp::from_secs(T0_SECS - 60),
        rate: 7,
    };
    put_into(&bench.directory.path().join("a"), &[told]);
    written(&bench, &["bytes > 700"]);
    let scaled = ask(&bench, "a", &["-o", "csv", "bytes > 700"]);
    assert_eq!(ask(&bench, "b.parquet", &["-o", "csv"]), scaled);
    let exported = ask(&bench, "a", &["-o", "csv", "--no-scale", "bytes > 100"]);
    assert_eq!(ask(&bench, "b.parquet", &["-o", "csv", "--no-scale", "bytes > 100"]), exported);
}

#[test]
fn groups_are_flows_of_their_own() {
    let bench = bench(&sample(), &Fixture::default());
    written(&bench, &["-A", "srcip4/24,proto"]);
    assert_snapshot!(ask(&bench, "b.parquet", &["-q", "-A", "srcip,proto", "-O", "bytes"]), @r"
    exit: 0
    --- stdout
    2026-05-28 20:26:40.000     00:04:50.000         10.1.1.0      GRE   98.8 M  123.5 G    3.4 G   1249     1
    2026-05-28 20:26:40.000  1d 01:01:01.001         10.1.1.0      UDP    2.0 M    2.5 G   222071   1250     1
    2026-05-28 20:26:40.120     00:01:01.110     93.184.216.0      TCP     1290    1.8 M   240165   1422     1
    2026-05-28 20:26:40.000     00:16:39.000         10.0.0.0     ICMP     1000    84000      672     84     1
    2026-05-28 20:26:40.100     00:01:01.134      192.168.1.0      TCP       42    15234     1993    362     1
    2026-05-28 20:26:40.000     00:00:12.345                -      TCP       33     9876     6400    299     1
    2026-05-28 20:26:40.000     00:01:40.000                -    ICMP6       10     1040       83    104     1
    2026-05-28 20:26:40.000     00:00:00.000      192.168.1.0      UDP        1       72        0     72     1
    ");
    for args in [&["-s", "proto/bytes", "-o", "csv"][..], &["-I", "-o", "csv"]] {
        let text = |name| ask(&bench, name, args).replace("edge1", "");
        assert_eq!(text("b.parquet"), text("a"), "{args:?}");
    }
    // Both directions of joined flows are those of a record.
    std::fs::remove_file(bench.path("b.parquet")).unwrap();
    written(&bench, &["-b"]);
    let text = |name, args: &[&str]| ask(&bench, name, &[&["-o", "csv", "-b"], args].concat());
    assert_eq!(text("b.parquet", &[]), text("a", &[]));
    std::fs::remove_file(bench.path("b.parquet")).unwrap();
    written(&bench, &["-A", "srcip4/24,proto"]);
    assert_snapshot!(ask(&bench, "b.parquet", &["-o", "ndjson", "-c", "1"]), @r#"
    exit: 0
    --- stdout
    {"received":"2026-05-28T20:26:52.345Z","flow_start":"2026-05-28T20:26:40.000Z","flow_end":"2026-05-28T20:26:52.345Z","protocol":6,"packets":33,"bytes":9876,"flows":1,"exporter_addr":"::","export_version":0}
    "#);
}

#[test]
fn nothing_is_overwritten_unless_that_is_said() {
    let bench = bench(&sample(), &Fixture::default());
    let write = |args: &[&str]| bench.run(&[&["-r", "@/a", "-w", "@/b.parquet"], args].concat());
    assert_snapshot!(write(&["proto tcp"]), @r"
    exit: 0
    --- stdout
    3 rows written to `[DIR]/b.parquet`
    ");
    assert_snapshot!(write(&["proto udp"]), @r"
    exit: 1
    --- stderr
    error: `[DIR]/b.parquet` is there already
    hint: `--force` replaces it
    ");
    assert_snapshot!(write(&["--force", "proto udp"]), @r"
    exit: 0
    --- stdout
    2 rows written to `[DIR]/b.parquet`
    ");
    assert_snapshot!(bench.run(&["-r", "@/a", "-w", "@"]), @r"
    exit: 2
    --- stderr
    error: `[DIR]` is no name for a file
    ");
    assert_snapshot!(bench.run(&["-r", "@/a", "-w", "@/c.parquet", "-s", "srcip"]), @r"
    exit: 2
    --- stderr
    error: `-w` and `-o parquet` have flows and the rows of `-a` and `-A`, nothing else
    hint: `-o csv` and `-o ndjson` are for other programs too
    ");
    assert_snapshot!(bench.run(&["-r", "@/a", "-w", "@/a/a.parquet/c.parquet"]), @r"
    exit: 1
    --- stderr
    error: can't write `[DIR]/a/a.parquet`: not a directory (os error 20)
    ");
    // Nothing is left of what did not become a file.
    let mut names: Vec<_> = names(bench.directory.path());
    names.sort();
    assert_eq!(names, ["a", "b.parquet"]);
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_goes_to_stdout_too() {
    let bench = bench(&sample(), &Fixture::default());
    let output = Command::new(env!("CARGO_BIN_EXE_flowdump"))
        .arg("-r")
        .arg(bench.path("a"))
        .args(["-o", "parquet", "proto udp"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    std::fs::write(bench.path("b.parquet"), output.stdout).unwrap();
    assert_eq!(ask(&bench, "b.parquet", &["-o", "csv"]), ask(&bench, "a", &["-o", "csv", "proto udp"]));
}
