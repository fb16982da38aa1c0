//! Files made to break the reader: each is named and answered around, exit 3.
//! And text made to drive the terminal.

use std::process::Command;

use flow_common::column::ColumnId;

use crate::support::{Bench, Fixture, Row, sample, write};

/// Octets of Thrift's compact protocol: a number in groups of 7 bits.
fn varint(mut value: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    while value >= 0x80 {
        octets.push(value as u8 | 0x80);
        value >>= 7;
    }
    octets.push(value as u8);
    octets
}

/// A list of schema elements, each the only child of the one before; the last is an INT32.
fn schema(elements: u64) -> Vec<u8> {
    // Fields 3 (optional), 4 (name `a`) and 5 (one child); of the last 1 (INT32), 3 and 4.
    const GROUP: [u8; 8] = [0x35, 0x02, 0x18, 0x01, b'a', 0x15, 0x02, 0x00];
    const LEAF: [u8; 8] = [0x15, 0x02, 0x25, 0x02, 0x18, 0x01, b'x', 0x00];
    [&[0xfc], &varint(elements)[..], &GROUP.repeat(elements as usize - 1), &LEAF].concat()
}

/// A file whose footer has these octets, then no rows in no row groups.
fn file(fields: &[&[u8]]) -> Vec<u8> {
    let footer = [&fields.concat()[..], &[0x16, 0x00, 0x19, 0x0c, 0x00]].concat();
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", &footer[..], &length, b"PAR1"].concat()
}

const VERSION: &[u8] = &[0x15, 0x02];
const SCHEMA: &[u8] = &[0x19];

/// What a run on `bytes` says of the file: in a process of its own, because a
/// stack that overflows takes the process with it.
fn said(bytes: &[u8]) -> (Option<i32>, String) {
    let bench = Bench::of(&sample());
    let path = bench.path("z.parquet");
    std::fs::write(&path, bytes).unwrap();
    let program = env!("CARGO_BIN_EXE_flowdump");
    let output = Command::new(program).args(["-I", "-r"]).arg(bench.directory.path()).output().unwrap();
    let is_answered = String::from_utf8(output.stdout).unwrap().contains("Flows: 8\n");
    assert!(is_answered, "the other file");
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr.replace(&format!("error: can't read `{}`: ", path.display()), ""))
}

#[track_caller]
fn check(fields: &[&[u8]], expected: &str) {
    assert_eq!(said(&file(fields)), (Some(3), format!("{expected}\n")));
}

#[test]
fn deep_schemas_are_refused_before_the_reader_recurses() {
    check(&[VERSION, SCHEMA, &schema(4)], "it has no column of flow records");
    check(&[VERSION, SCHEMA, &schema(1_024)], "it has no column of flow records");
    let beyond = "its schema of 1025 elements is beyond the limit of 1024";
    check(&[VERSION, SCHEMA, &schema(1_025)], beyond);
    let far_beyond = "its schema of 1000000 elements is beyond the limit of 1024";
    check(&[VERSION, SCHEMA, &schema(1_000_000)], far_beyond);
    // A second schema behind the first, and one where none is looked for.
    let again: &[u8] = &[0x09, 0x04];
    check(&[VERSION, SCHEMA, &schema(4), again, &schema(100_000)], "it has no column of flow records");
    let late = "it is damaged: its footer does not begin with a schema";
    check(&[&[0x25, 0x02], again, &schema(100_000)], late);
    check(&[SCHEMA, &schema(100_000)], late);
}

#[test]
fn a_schema_within_bounds_leaves_the_stack_of_a_thread() {
    let bench = Bench::empty();
    std::fs::write(bench.path("z.parquet"), file(&[VERSION, SCHEMA, &schema(1_024)])).unwrap();
    assert_eq!(bench.run_raw(&["-r", "@", "-q"]).0, 3);
}

#[test]
fn footers_longer_than_the_limit_or_the_file_are_refused() {
    let tail = |length: u32| [b"PAR1PAR1", &length.to_le_bytes()[..], b"PAR1"].concat();
    assert_eq!(said(&tail(9)), (Some(3), "it is cut short: it has 16 octets of 17\n".into()));
    assert_eq!(said(&tail(u32::MAX)).0, Some(3));
    let encrypted = [b"PAR1PAR1", &[4, 0, 0, 0][..], b"PARE"].concat();
    assert_eq!(said(&encrypted), (Some(3), "its footer is encrypted\n".into()));
    // A file with a hole where the footer would be: large, and nothing on the disk.
    let bench = Bench::empty();
    let path = bench.path("z.parquet");
    let hole = std::fs::File::create(&path).unwrap();
    hole.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, &tail((256 << 20) + 1)[8..], (1 << 30) - 8).unwrap();
    let (code, _, stderr) = bench.run_raw(&["-r", "@", "-q"]);
    let expected = "its footer of 268435457 octets is beyond the limit of 268435456\n";
    assert!(code == 3 && stderr.ends_with(expected), "{code}: {stderr}");
}

#[test]
fn text_that_turns_its_direction_or_drives_the_terminal_is_neutralised() {
    let hostile = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{1b}\u{9b}\u{7f}";
    let harmless = "שלום é\u{200d}";
    let text = format!("{harmless}{hostile}");
    let bench = Bench::empty();
    let row = Row::default().text(ColumnId::Username, &text);
    write(&bench.path("a.parquet"), &[row], &Fixture { ident: &text, ..Fixture::default() });
    let filter = format!("{text} 5");
    for args in
        [&["-o", "raw"][..], &["-I"], &["-I", "-o", "json"], &["-o", "ndjson"], &[&filter], &["-r", &text]]
    {
        let args = if args[0] == "-r" { args.to_vec() } else { [&["-r", "@"], args].concat() };
        let (_, stdout, stderr) = bench.run_raw(&args);
        let all = stdout + &stderr;
        assert!(all.contains(harmless), "{args:?}: {all}");
        assert!(!all.contains(|c| hostile.contains(c)), "{args:?}: {all}");
    }
}
