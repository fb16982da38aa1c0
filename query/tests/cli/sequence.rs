//! The order of files, and directories that are no tree.

use std::os::unix::fs::symlink;

use insta::assert_snapshot;

use crate::support::{Bench, Fixture, Row, write};

/// One slot that was written in parts, and its neighbours; one flow each.
fn parts() -> Bench {
    let bench = Bench::empty();
    let names = (1..=10).map(|n| format!("flowcap.202611211200.{n}.parquet"));
    let names = names.chain([
        "flowcap.202611211155.parquet".into(),
        "flowcap.202611211200.parquet".into(),
        "flowcap.202611211205.parquet".into(),
    ]);
    for (index, name) in names.enumerate() {
        let row = Row::flow((0, 1), 17, ("10.0.0.1", 1), ("10.0.0.2", index as i64 + 1), (1, 100));
        write(&bench.path(&format!("date=2026-11-21/hour=12/{name}")), &[row], &Fixture::default());
    }
    bench
}

/// Destination ports of the records: the number of the file each came from.
#[track_caller]
fn check(bench: &Bench, args: &[&str], expected: &[u32]) {
    let (code, stdout, stderr) = bench.run_raw(&[args, &["-o", "csv"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let ports = stdout.lines().skip(1).filter_map(|line| line.split(',').nth(6)?.parse().ok());
    assert_eq!(ports.collect::<Vec<u32>>(), expected, "{args:?}");
}

#[test]
fn numbered_files_follow_the_first_of_their_slot() {
    let bench = parts();
    let parts = [11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13];
    let hour = "@/date=2026-11-21/hour=12";
    check(&bench, &["-r", "@"], &parts);
    check(&bench, &["-R", &format!("{hour}/flowcap.202611211155.parquet")], &parts);
    check(&bench, &["-R", &format!("{hour}/flowcap.202611211200.parquet")], &parts[1..]);
    check(&bench, &["-R", &format!("{hour}/flowcap.202611211200.9.parquet")], &[9, 10, 13]);
    let slot = "flowcap.202611211200.parquet:flowcap.202611211200.10.parquet";
    check(&bench, &["-R", &format!("{hour}/{slot}")], &parts[1..12]);
    check(&bench, &["-R", &format!("{hour}:date=2026-11-21")], &parts);
    check(&bench, &["-R", &format!("{hour}:hour=12/flowcap.202611211200.1.parquet")], &parts[..3]);
}

#[test]
fn a_directory_is_read_once_however_many_links_lead_to_it() {
    let bench = parts();
    let plain = bench.run_raw(&["-r", "@", "-o", "csv"]);
    symlink(bench.directory.path(), bench.path("date=2026-11-21/hour=12/loop")).unwrap();
    symlink(bench.path("date=2026-11-21"), bench.path("again")).unwrap();
    assert_eq!(bench.run_raw(&["-r", "@", "-o", "csv"]), plain);
    // A directory that lies elsewhere counts.
    let elsewhere = parts();
    symlink(elsewhere.directory.path(), bench.path("elsewhere")).unwrap();
    let (_, stdout, _) = bench.run_raw(&["-r", "@", "-o", "csv"]);
    assert_eq!(stdout.lines().count(), 1 + 2 * 13);
}

#[test]
fn directories_that_cannot_be_read_are_named_and_the_rest_answered() {
    let bench = Bench::empty();
    let row = Row::flow((0, 1), 17, ("10.0.0.1", 1), ("10.0.0.2", 2), (1, 100));
    write(&bench.path("b/a.parquet"), &[row], &Fixture::default());
    symlink(bench.path("a"), bench.path("a")).unwrap();
    std::fs::create_dir_all(bench.path(&"deep/".repeat(40))).unwrap();
    // Retired between listing and reading: not there.
    symlink(bench.path("none"), bench.path("gone.parquet")).unwrap();
    let text = bench.query(&["-o", "csv"]).replace(&"deep/".repeat(32), "[32 times]/");
    assert_snapshot!(text, @r"
    exit: 3
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    2026-05-28T20:26:40.000Z,0.001,17,10.0.0.1,1,10.0.0.2,2,1,100,1
    --- stderr
    error: can't read `[DIR]/a`: too many levels of symbolic links (os error 40)
    error: can't read `[DIR]/[32 times]/deep`: it lies more than 32 directories deep
    ");
}
