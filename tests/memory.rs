//! What `--memory` bounds: whatever is asked, and however many groups that has, the process takes
//! no more than so much and what it needs anyway, and the answer is what it is with room for all.
//!
//! `MEMORY_ROWS=5000000` asks about more rows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::ffi::OsString;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use flow_common::column::ColumnId;
use flow_common::schema::schema;
use flow_common::time::Timestamp;
use flow_query::{Env, Zone};
use parquet::arrow::ArrowWriter;

/// What `--memory` says, octets.
const MEMORY_BYTES: u64 = 16 << 20;
/// Octets beside it: the program, what two threads read and decode, a batch of rows that becomes
/// groups before there is a look at how many there are, and what the allocator keeps.
const SLACK_BYTES: u64 = 64 << 20;
/// Octets of a row group that is being written: its rows, and its columns as they are encoded.
const WRITER_BYTES: u64 = 64 << 20;
/// Rows, as many different addresses, and texts.
const ROWS: i64 = 200_000;
/// Rows made at a time.
const BATCH_ROWS: i64 = 20_000;
/// 2026-05-28 20:26:40 UTC.
const START_SECS: i64 = 1_780_000_000;

/// What is asked; `@` is a file to be written.
const QUESTIONS: [&[&str]; 10] = [
    &["-A", "srcip,dstport", "-o", "csv"],
    &["-A", "srcip", "-O", "bytes,tstart:d", "-o", "json", "-P", "bytes > 100"],
    &["-s", "srcip/bytes/packets:a", "-s", "dstport", "-n", "0"],
    &["-b", "-o", "arrow"],
    &["--bucket", "1m", "-A", "srcip", "-n", "20000", "-o", "md"],
    &["-A", "dstport", "--percentile", "bytes:95,duration:50", "-o", "ndjson"],
    &["-A", "proto", "--distinct", "srcip,username", "--percentile", "bps@1m:95", "-o", "csv"],
    &["-A", "username", "--error", "-O", "error", "-o", "csv"],
    &["-O", "bytes", "-o", "csv"],
    &["-a", "-n", "0", "-w", "@"],
];

/// Rows none of whose sources is that of another.
fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let n = usize::try_from(rows.end - rows.start).unwrap();
    // In no order.
    let mixed = |row: i64| row.wrapping_mul(0x9e37_79b9).rem_euclid(1 << 31);
    let ints = |value: &dyn Fn(i64) -> i64| {
        Arc::new(Int32Array::from_iter_values(rows.clone().map(|row| i32::try_from(value(row)).unwrap())))
    };
    let longs = |value: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values(rows.clone().map(value)));
    let times = |secs: &dyn Fn(i64) -> i64| {
        let micros = rows.clone().map(|row| (START_SECS + secs(row)) * 1_000_000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
    };
    let addrs = |value: &dyn Fn(i64) -> i64| {
        let addr = |row: i64| {
            let [.., a, b, c, d] = value(row).to_be_bytes();
            [[0; 10].as_slice(), &[0xff, 0xff, a, b, c, d]].concat()
        };
        Arc::new(FixedSizeBinaryArray::try_from_iter(rows.clone().map(addr)).unwrap())
    };
    let array = |id: ColumnId| -> Option<ArrayRef> {
        Some(match id {
            ColumnId::Received => times(&|_| 3_600),
            ColumnId::FlowStart => times(&|row| mixed(row) % 600),
            ColumnId::FlowEnd => times(&|row| 600 + mixed(row) % 100),
            ColumnId::ExporterAddr => addrs(&|_| 1),
            ColumnId::ExportVersion => ints(&|_| 9),
            ColumnId::Protocol => ints(&|row| if row % 3 == 0 { 17 } else { 6 }),
            ColumnId::SrcAddr => addrs(&|row| mixed(row)),
            ColumnId::DstAddr => addrs(&|row| row % 1_000),
            ColumnId::SrcPort => ints(&|row| 1_024 + mixed(row) % 60_000),
            ColumnId::DstPort => ints(&|row| row % 500),
            ColumnId::Packets => longs(&|row| 1 + row % 10),
            ColumnId::Bytes => longs(&|row| 40 + mixed(row) % 1_000_000),
            ColumnId::SamplingRate => longs(&|row| 1 + row % 2),
            ColumnId::Username => {
                let name = |row| format!("user-{:08x}.example.org", mixed(row));
                Arc::new(StringArray::from_iter_values(rows.clone().map(name)))
            }
            _ => return None,
        })
    };
    let columns = schema();
    let fields = flow_common::column::COLUMNS.iter().zip(columns.fields());
    let arrays = fields
        .map(|(column, field)| array(column.id).unwrap_or_else(|| new_null_array(field.data_type(), n)));
    let arrays = arrays.collect();
    RecordBatch::try_new(Arc::new(columns), arrays).unwrap()
}

fn write(path: &Path, n_rows: i64) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), Arc::new(schema()), None).unwrap();
    for start in (0..n_rows).step_by(BATCH_ROWS as usize) {
        writer.write(&batch(start..n_rows.min(start + BATCH_ROWS))).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
}

/// An answer as its length and a hash, as nobody has room for it.
#[derive(Default)]
struct Answer {
    n_octets: u64,
    hash: DefaultHasher,
}

impl Write for Answer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.n_octets += octets.len() as u64;
        self.hash.write(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn asked(directory: &Path, question: &[&str], memory: &str) -> (u64, u64) {
    let file = directory.join("answer.of");
    let fixed = ["flowdump", "-r", directory.join("a.parquet").to_str().unwrap()].map(OsString::from);
    let question = question.iter().map(|arg| match *arg {
        "@" => file.clone().into(),
        arg => OsString::from(arg),
    });
    let how = ["-q", "--threads", "2", "--memory", memory].map(OsString::from);
    let (mut answer, mut stderr) = (Answer::default(), Vec::new());
    let env = Env { now: Timestamp::from_secs(START_SECS), zone: Zone::Utc };
    let code = flow_query::run(fixed.into_iter().chain(question).chain(how), &mut answer, &mut stderr, env);
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&stderr));
    if file.exists() {
        // So much of an answer that has to be in memory to be written.
        io::copy(&mut File::open(&file).unwrap(), &mut answer).unwrap();
        std::fs::remove_file(&file).unwrap();
    }
    (answer.n_octets, answer.hash.finish())
}

/// The most memory the process had since it was asked before, octets.
fn high_water_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    // Where that is not possible it is the most there ever was.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn answers_take_no_more_memory_than_they_are_given() {
    let n_rows = std::env::var("MEMORY_ROWS").map_or(ROWS, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("a.parquet"), n_rows);
    println!("{} MiB before", high_water_bytes() >> 20);
    let memory = MEMORY_BYTES.to_string();
    let ask = |question: &[&str], memory: &str| {
        let answer = asked(directory.path(), question, memory);
        let high_water = high_water_bytes();
        println!("{} MiB, {} octets: {question:?}", high_water >> 20, answer.0);
        (answer, high_water)
    };
    let bounded = |question: &&[&str]| {
        let (answer, high_water) = ask(question, &memory);
        let writer = if question.contains(&"@") { WRITER_BYTES } else { 0 };
        assert!(high_water <= MEMORY_BYTES + SLACK_BYTES + writer, "{question:?} took {high_water} octets");
        answer
    };
    let bounded: Vec<_> = QUESTIONS.iter().map(bounded).collect();
    let mut most = 0;
    for (question, bounded) in QUESTIONS.iter().zip(bounded) {
        let (answer, high_water) = ask(question, "64G");
        assert_eq!(answer, bounded, "{question:?}");
        most = most.max(if question.contains(&"@") { 0 } else { high_water });
    }
    // A bound that would hold anyway proves nothing.
    assert!(most > MEMORY_BYTES + SLACK_BYTES, "{most} octets without a bound");
}
