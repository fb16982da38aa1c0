//! Which files are read, and what happens to those that can't be.

use std::io::{self, Write};

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Fixture, NOW, Row, sample, write};

/// Five slots in the layout of the collector, one flow each, and what to skip.
fn tree() -> Bench {
    let bench = Bench::empty();
    for (index, name) in [
        "date=2026-05-28/hour=20/flowcap.202605282025.parquet",
        "date=2026-05-28/hour=20/flowcap.202605282030.parquet",
        "date=2026-05-28/hour=21/flowcap.202605282100.parquet",
        "date=2026-05-28/hour=21/flowcap.202605282105.parquet",
        "date=2026-05-29/hour=00/flowcap.202605290000.parquet",
    ]
    .into_iter()
    .enumerate()
    {
        let ms = index as i64 * 600_000;
        let row = Row::flow((ms, ms + 1), 17, ("10.0.0.1", 1), ("10.0.0.2", index as i64), (1, 100));
        write(&bench.path(&format!("flows/{name}")), &[row], &Fixture::default());
    }
    std::fs::write(bench.path("flows/date=2026-05-28/hour=20/.hidden.parquet"), "x").unwrap();
    std::fs::write(bench.path("flows/date=2026-05-28/hour=20/notes.txt"), "x").unwrap();
    std::fs::create_dir(bench.path("flows/.flowcap")).unwrap();
    std::fs::write(bench.path("flows/.flowcap/x.parquet"), "x").unwrap();
    bench
}

/// Destination ports of the records: the number of the file each came from.
#[track_caller]
fn check(bench: &Bench, args: &[&str], ports: &[&str]) {
    let (code, stdout, stderr) = bench.run_raw(&[args, &["-o", "csv"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let found: Vec<_> = stdout.lines().skip(1).filter_map(|line| line.split(',').nth(6)).collect();
    assert_eq!(found, ports, "{args:?}");
}

#[test]
fn directories_and_sequences() {
    let bench = tree();
    check(&bench, &["-r", "@/flows"], &["0", "1", "2", "3", "4"]);
    check(&bench, &["-R", "@/flows"], &["0", "1", "2", "3", "4"]);
    check(&bench, &["-r", "@/flows/date=2026-05-28/hour=21"], &["2", "3"]);
    check(&bench, &["-r", "@/flows/date=2026-05-28/hour=21/flowcap.202605282105.parquet"], &["3"]);
    let second = "@/flows/date=2026-05-28/hour=20/flowcap.202605282030.parquet";
    check(&bench, &["-R", second], &["1", "2", "3", "4"]);
    check(&bench, &["-R", &format!("{second}:flowcap.202605282030.parquet")], &["1"]);
    let range = format!("{second}:date=2026-05-28/hour=21/flowcap.202605282100.parquet");
    check(&bench, &["-R", &range], &["1", "2"]);
    check(&bench, &["-R", &format!("{second}:date=2026-05-28/hour=21")], &["1", "2", "3"]);
}

#[test]
fn windows_and_limits() {
    let bench = tree();
    check(&bench, &["-r", "@", "--utc", "-t", "2026/05/28.20:36:40"], &["1"]);
    check(&bench, &["-r", "@", "-t", "2026/05/28.22:36:40"], &["1"]);
    check(&bench, &["-r", "@", "-t", "-15m"], &["2", "3"]);
    check(&bench, &["-r", "@", "-t", "2026-05-28T20:36:40Z..2026-05-28T20:46:40.001Z"], &["1", "2"]);
    check(&bench, &["-r", "@", "-t", "2026-05-28T20:36:40.001Z..2026-05-28T20:46:40.000Z"], &[]);
    check(&bench, &["-r", "@", "-c", "2"], &["0", "1"]);
    check(&bench, &["-r", "@", "-c", "1", "dst port > 2"], &["3"]);
}

#[test]
fn what_is_not_there() {
    let bench = Bench::empty();
    assert_snapshot!(bench.run(&["-r", "@/none"]), @r"
    exit: 1
    --- stderr
    error: can't read `[DIR]/none`: no such file or directory
    ");
    assert_snapshot!(bench.run(&["-R", "@/none:other"]), @r"
    exit: 1
    --- stderr
    error: can't read `[DIR]/none`: no such file or directory
    ");
    assert_snapshot!(bench.run(&["-r", "@", "-o", "json"]), @r"
    exit: 0
    --- stdout
    []
    --- stderr
    warning: no flow files in `[DIR]`
    ");
}

#[test]
fn damaged_files_are_named_and_the_rest_answered() {
    let bench = tree();
    let whole =
        std::fs::read(bench.path("flows/date=2026-05-28/hour=20/flowcap.202605282025.parquet")).unwrap();
    std::fs::write(bench.path("flows/a.parquet"), "no Parquet at all").unwrap();
    std::fs::write(bench.path("flows/b.parquet"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(bench.path("flows/c.parquet"), "").unwrap();
    assert_snapshot!(bench.query(&["-o", "csv"]), @r"
    exit: 3
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    2026-05-28T20:26:40.000Z,0.001,17,10.0.0.1,1,10.0.0.2,0,1,100,1
    2026-05-28T20:36:40.000Z,0.001,17,10.0.0.1,1,10.0.0.2,1,1,100,1
    2026-05-28T20:46:40.000Z,0.001,17,10.0.0.1,1,10.0.0.2,2,1,100,1
    2026-05-28T20:56:40.000Z,0.001,17,10.0.0.1,1,10.0.0.2,3,1,100,1
    2026-05-28T21:06:40.000Z,0.001,17,10.0.0.1,1,10.0.0.2,4,1,100,1
    --- stderr
    error: can't read `[DIR]/flows/a.parquet`: it is no Parquet file, or cut short
    error: can't read `[DIR]/flows/b.parquet`: it is no Parquet file, or cut short
    error: can't read `[DIR]/flows/c.parquet`: it is cut short: it has 0 octets of 8
    ");
    assert_snapshot!(bench.run(&["-r", "@/flows/c.parquet", "-o", "json"]), @r"
    exit: 3
    --- stdout
    []
    --- stderr
    error: can't read `[DIR]/flows/c.parquet`: it is cut short: it has 0 octets of 8
    ");
}

#[test]
fn no_octet_of_a_file_makes_it_panic() {
    let bench = Bench::of(&sample());
    let whole = std::fs::read(bench.path("a.parquet")).unwrap();
    let step = whole.len() / 400 + 1;
    for at in (0..whole.len()).step_by(step) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        std::fs::write(bench.path("a.parquet"), &damaged).unwrap();
        let (code, ..) = bench.run_raw(&["-r", "@", "-o", "ndjson", "not port 9"]);
        assert!(code == 0 || code == 3, "octet {at}: exit {code}");
    }
}

#[test]
fn foreign_and_older_files() {
    use arrow_array::{Int32Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};
    use std::sync::Arc;
    let bench = Bench::empty();
    let save = |name: &str, field: &str, array: arrow_array::ArrayRef, data_type: DataType| {
        let extra = Field::new("colour", DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![Field::new(field, data_type, true), extra]));
        let colour = Arc::new(StringArray::from(vec!["red"]));
        let batch = RecordBatch::try_new(schema.clone(), vec![array, colour]).unwrap();
        let file = std::fs::File::create(bench.path(name)).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    save("older.parquet", "dst_port", Arc::new(Int32Array::from(vec![53])), DataType::Int32);
    save("strange.parquet", "dst_port", Arc::new(StringArray::from(vec!["53"])), DataType::Utf8);
    save("foreign.parquet", "fruit", Arc::new(StringArray::from(vec!["pear"])), DataType::Utf8);
    assert_snapshot!(bench.query(&["port 53 and not src port 53"]), @r"
    exit: 3
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
    0000-00-00 00:00:00.000     00:00:00.000 0                    -:0     ->                -:53           0        0     1
    Summary: total flows: 1, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0
    Not complete: 2 files could not be read
    Time window: <unknown>
    Total records processed: 1, passed: 1, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    --- stderr
    error: can't read `[DIR]/foreign.parquet`: it has no column of flow records
    error: can't read `[DIR]/strange.parquet`: column `dst_port` is stored as Utf8
    ");
    assert_snapshot!(bench.run(&["-r", "@/older.parquet", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"dst_port":53}
    "#);
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let bench = Bench::of(&vec![sample().remove(0); 10_000]);
    let directory = bench.directory.path().as_os_str().to_owned();
    let args = ["flowdump".into(), "-r".into(), directory];
    let env = flow_query::Env { now: NOW, zone: flow_query::Zone::Utc };
    let mut stderr = Vec::new();
    assert_eq!(flow_query::run(args, &mut Closed, &mut stderr, env), 0);
    assert_eq!(stderr, b"");
}

#[test]
fn columns_of_one_flow_are_pruned_by_statistics() {
    let bench = Bench::empty();
    let rows: Vec<_> = (0..100)
        .map(|index| {
            let ms = index * 1_000;
            Row::flow((ms, ms + 1), 17, ("10.0.0.1", 1), ("10.0.0.2", index), (1, 100))
                .int(ColumnId::Sequence, index)
        })
        .collect();
    let fixture = Fixture { group_rows: 10, ..Fixture::default() };
    write(&bench.path("a.parquet"), &rows, &fixture);
    let bytes_read = |filter: &str| {
        let (_, stdout, _) = bench.run_raw(&["-r", "@", "-o", "null", filter]);
        let tail = stdout.split("Bytes read: ").nth(1).unwrap();
        tail.lines().next().unwrap().parse::<u64>().unwrap()
    };
    let all = bytes_read("dst port >= 0");
    assert_eq!(bytes_read("dst port 1000"), 0);
    assert_eq!(bytes_read("src ip 10.0.0.2"), 0);
    assert!(bytes_read("dst port 55") < all / 5);
    assert!(bytes_read("dst port < 10 or dst port in [95 96]") < all / 3);
}
