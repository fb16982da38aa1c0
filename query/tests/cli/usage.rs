//! Command lines that make no question: what is said, and exit code 2.

use insta::assert_snapshot;

use crate::support::{Bench, sample};

#[test]
fn usage() {
    let bench = Bench::of(&sample());
    let mut text = String::new();
    for args in [
        &["--xyzzy"][..],
        &["--qiet"],
        &["-X"],
        &["-n", "x"],
        &["-n", "-1"],
        &["-c", "x"],
        &["-o", "pipe"],
        &["-o", "jsn"],
        &["-o"],
        &["-R", "x"],
        &["-t", "1h"],
        &["-t", "2026/05/28-2026/05/27"],
        &["-s", "srcpi"],
        &["-s", "src_addr"],
        &["-s", "xyzzy"],
        &["-s", "srcip/byte"],
        &["-s", "srcip/xyzzy"],
        &["-s", "srcip:q"],
        &["-s", "srcip/bytes:x"],
        &["-s", "record/bytes/flows", "-o", "csv"],
        &["-I", "proto tcp"],
        &["-f", "@/none", "-Z"],
        &["-f", "@/none", "proto tcp"],
    ] {
        text += &format!("$ flowdump {}\n{}\n", args.join(" "), bench.query(args));
    }
    assert_snapshot!(text, @r"
    $ flowdump --xyzzy
    exit: 2
    --- stderr
    error: unknown option `--xyzzy`
    hint: `flowdump --help` lists the options

    $ flowdump --qiet
    exit: 2
    --- stderr
    error: unknown option `--qiet`
    hint: did you mean `--quiet`?

    $ flowdump -X
    exit: 2
    --- stderr
    error: unknown option `-X`
    hint: `--explain` says what a filter means

    $ flowdump -n x
    exit: 2
    --- stderr
    error: `x` is not a number for `-n`
    hint: `-n 0` shows all

    $ flowdump -n -1
    exit: 2
    --- stderr
    error: `-1` is not a number for `-n`
    hint: `-n 0` shows all

    $ flowdump -c x
    exit: 2
    --- stderr
    error: `x` is not a number for `-c`
    hint: a whole number

    $ flowdump -o pipe
    exit: 2
    --- stderr
    error: unknown output format `pipe`
    hint: did you mean `-o csv-fast`?

    $ flowdump -o jsn
    exit: 2
    --- stderr
    error: unknown output format `jsn`
    hint: did you mean `-o json`?

    $ flowdump -o
    exit: 2
    --- stderr
    error: a value is required for `--output <FORMAT>` but none was supplied
    hint: `flowdump --help` lists the options

    $ flowdump -R x
    exit: 2
    --- stderr
    error: the argument `--read <FILE|DIR>` cannot be used with `--range <DIR|FILE:FILE>`
    hint: `flowdump --help` lists the options

    $ flowdump -t 1h
    exit: 2
    --- stderr
    error: invalid window for `-t`: `1h` is not a time
    hint: for example `2026/05/28.20:26:40-2026/05/28.21:00:00`, `2026/05/28`, `-1h` or `today`

    $ flowdump -t 2026/05/28-2026/05/27
    exit: 2
    --- stderr
    error: invalid window for `-t`: window `2026/05/28-2026/05/27` ends before it starts
    hint: for example `2026/05/28.20:26:40-2026/05/28.21:00:00`, `2026/05/28`, `-1h` or `today`

    $ flowdump -s srcpi
    exit: 2
    --- stderr
    error: unknown statistic `srcpi`
    hint: did you mean `-s srcip`?

    $ flowdump -s src_addr
    exit: 2
    --- stderr
    error: unknown statistic `src_addr`
    hint: did you mean `-s srcip`?

    $ flowdump -s xyzzy
    exit: 2
    --- stderr
    error: unknown statistic `xyzzy`
    hint: `flowdump --help` lists the words

    $ flowdump -s srcip/byte
    exit: 2
    --- stderr
    error: unknown order `byte`
    hint: did you mean `bytes`?

    $ flowdump -s srcip/xyzzy
    exit: 2
    --- stderr
    error: unknown order `xyzzy`
    hint: one of flows, packets, bytes, pps, bps, bpp, opackets, obytes, opps, obps, obpp

    $ flowdump -s srcip:q
    exit: 2
    --- stderr
    error: unknown modifier `:q` in `-s srcip:q`
    hint: `:p` splits by protocol

    $ flowdump -s srcip/bytes:x
    exit: 2
    --- stderr
    error: unknown direction `:x` of order `bytes:x`
    hint: `:a` is ascending, `:d` descending

    $ flowdump -s record/bytes/flows -o csv
    exit: 2
    --- stderr
    error: `-s record` has columns of its own, so it can't share a CSV table
    hint: ask for it alone and with one order, or use `-o ndjson`

    $ flowdump -I proto tcp
    exit: 2
    --- stderr
    error: `-I` gives the totals of whole files: no filter, no `-t`, no `-s`
    hint: `-o null` prints the totals of what matches

    $ flowdump -f @/none -Z
    exit: 1
    --- stderr
    error: can't read the filter `[DIR]/none`: no such file or directory

    $ flowdump -f @/none proto tcp
    exit: 2
    --- stderr
    error: the argument `--filter-file <FILTERFILE>` cannot be used with `[FILTER]...`
    hint: `flowdump --help` lists the options
    ");
}
