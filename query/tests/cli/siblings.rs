//! `-M`: the same files in directories that lie side by side.

use insta::assert_snapshot;

use crate::support::{Bench, Fixture, Row, write};

/// Three trees of two slots each; a flow's port is that of its file.
fn bench() -> Bench {
    let bench = Bench::empty();
    for (tree, name) in ["east", "west", "north"].into_iter().enumerate() {
        for slot in 0..2 {
            let port = 10 * tree as i64 + slot;
            let row = Row::flow((0, 1), 17, ("10.0.0.1", 1), ("10.0.0.2", port), (1, 100));
            let file = format!("date=2026-05-28/hour=20/flowcap.20260528203{slot}.parquet");
            if (name, slot) != ("north", 1) {
                write(&bench.path(&format!("{name}/{file}")), &[row], &Fixture::default());
            }
        }
    }
    bench
}

#[track_caller]
fn check(bench: &Bench, args: &[&str], expected: (u8, &str)) {
    let (code, stdout, _) = bench.run_raw(&[args, &["-o", "fmt:%dp", "-q"]].concat());
    let ports: Vec<_> = stdout.split_whitespace().collect();
    assert_eq!((code, ports.join(" ").as_str()), expected, "{args:?}");
}

#[test]
fn names_are_looked_for_in_every_directory() {
    let bench = bench();
    let [first, second] = [0, 1].map(|slot| format!("flowcap.20260528203{slot}.parquet"));
    let hour = "date=2026-05-28/hour=20";
    check(&bench, &["-M", "@/east:west:north"], (0, "0 1 10 11 20"));
    check(&bench, &["-M", "@/west"], (0, "10 11"));
    check(&bench, &["-M", "@/west:east", "-r", hour], (0, "10 11 0 1"));
    check(&bench, &["-M", "@/east:west", "-r", &format!("{hour}/{second}")], (0, "1 11"));
    check(&bench, &["-M", "@/east:west:north", "-R", &format!("{hour}/{first}:{first}")], (0, "0 10 20"));
    check(&bench, &["-M", "@/east:west", "-R", &format!("{hour}/{first}:{second}")], (0, "0 1 10 11"));
    check(&bench, &["-M", "@/east:west", "-R", &format!("{hour}/{second}")], (0, "1 11"));
    check(&bench, &["-M", "@/east:west", "-c", "3"], (0, "0 1 10"));
    // Once, whatever it is called.
    check(&bench, &["-M", "@/east:east"], (0, "0 1"));
    // North has no second slot.
    check(&bench, &["-M", "@/east:north", "-r", &format!("{hour}/{second}")], (3, "1"));
    check(&bench, &["-M", "@/east:north", "-R", &format!("{hour}/{first}:{second}")], (3, "0 1"));
    check(&bench, &["-M", "@/none:south"], (1, ""));
    check(&bench, &["-M", "@/east:../west"], (2, ""));
}

#[test]
fn answers_and_refusals() {
    let bench = bench();
    let asked: [&[&str]; 7] = [
        &["-M", "@/east:west:north", "-A", "proto", "-o", "csv"],
        &["-M", "@/east:west", "-I"],
        &["-M", "@/east:north", "-R", "date=2026-05-28/hour=20/flowcap.202605282031.parquet", "-o", "null"],
        &["-M", "@/none:south"],
        &["-M", "@/east:south", "-s", "proto", "-o", "csv"],
        &["-M", "@/east:a/b"],
        &["-M", "@/east:west", "-r", "/var/flows"],
    ];
    let shown = asked
        .map(|args| format!("$ flowdump {}\n{}", args.join(" "), bench.run(&[args, &["--utc"]].concat())));
    assert_snapshot!("siblings", shown.join("\n"));
}
