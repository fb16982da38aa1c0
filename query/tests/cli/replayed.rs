//! `flowdump replay` and `flowdump import`: what is no question, and what can't be done.

use insta::assert_snapshot;

use crate::support::{Bench, sample};

#[test]
fn replay_says_what_is_wrong() {
    let bench = Bench::of(&sample());
    let run = |args: &[&str]| bench.run(&[&["replay", "-r", "@"], args].concat());
    assert_snapshot!(run(&["-v", "7"]), @r"
    exit: 2
    --- stderr
    error: `-v 7` is no version flows are sent as
    hint: 5, 9 or 10
    ");
    assert_snapshot!(run(&["-z", "0"]), @r"
    exit: 2
    --- stderr
    error: `-z 0` is no speed
    hint: 1 is in real time, 10 ten times as fast
    ");
    assert_snapshot!(run(&["-p", "0"]), @r"
    exit: 2
    --- stderr
    error: `-p 0` is no port
    ");
    assert_snapshot!(run(&["-H", "::1", "-4"]), @r"
    exit: 1
    --- stderr
    error: can't find the collector `::1`: it has no such address
    ");
    assert_snapshot!(run(&["-S", "x"]), @r"
    exit: 2
    --- stderr
    error: `-S x` is no address to send from
    ");
    assert_snapshot!(run(&["proto tpc"]), @r"
    exit: 2
    --- stderr
    error: unknown protocol `tpc`
      |
    1 | proto tpc
      |       ^^^
    hint: did you mean `proto tcp`?
    ");
    assert_snapshot!(run(&["--rate", "5", "-z", "1"]), @r"
    exit: 2
    --- stderr
    error: the argument `--rate <N>` cannot be used with `--speed <N>`
    hint: `flowdump replay --help` lists the options
    ");
}

#[test]
fn import_says_what_is_wrong() {
    let bench = Bench::of(&sample());
    let run = |args: &[&str]| bench.run(&[&["import"], args].concat());
    std::fs::write(bench.path("nfcapd.202611211200"), b"\x0c\xa5\x01\0").unwrap();
    std::fs::write(bench.path("nfcapd.current.77"), "").unwrap();
    assert_snapshot!(run(&["@"]), @r"
    exit: 2
    --- stderr
    error: `-w DIR` is missing: where to store flows
    hint: `flowdump import /var/nfcapd -w flows` imports every `nfcapd.*` below a directory
    ");
    assert_snapshot!(run(&["-w", "@/new"]), @r"
    exit: 2
    --- stderr
    error: nothing to import
    hint: `flowdump import /var/nfcapd -w flows` imports every `nfcapd.*` below a directory
    ");
    assert_snapshot!(run(&["@", "-w", "@/new"]), @r"
    exit: 3
    --- stdout
    1 file with 0 flows: 0 new files below `[DIR]/new`; 0 of 0 files with statistics agree
    --- stderr
    error: can't read `[DIR]/nfcapd.202611211200`: its layout is 1, that of nfdump 1.6 or older; `nfdump -r FILE -w NEW` of nfdump 1.7 rewrites it
    ");
    assert_snapshot!(run(&["@/a.parquet", "-w", "@/new"]), @r"
    exit: 3
    --- stdout
    1 file with 0 flows: 0 new files below `[DIR]/new`; 0 of 0 files with statistics agree
    --- stderr
    error: can't read `[DIR]/a.parquet`: it is no nfcapd file
    ");
    assert_snapshot!(run(&["@/none", "-w", "@/new"]), @r"
    exit: 1
    --- stderr
    error: can't read `[DIR]/none`: no such file or directory
    ");
    assert_snapshot!(run(&["@", "-w", "@/new", "-t", "7200"]), @r"
    exit: 2
    --- stderr
    error: `-t 7200` is no slot of 1 to 3600 seconds
    ");
    assert_snapshot!(run(&["@", "-w", "@/new", "-S", "9"]), @r"
    exit: 2
    --- stderr
    error: `-S 9` is no hierarchy of 0 to 8
    ");
    assert!(!bench.path("new").exists());
}
