//! Parquet files made to break their reader, each beside a sound one. Whatever is in
//! them, `flowdump` ends by itself within its memory, names what it could not read and
//! answers the rest.
//!
//! `MUTATIONS=20000` tries more, `MUTATION_SEED=7` others. `reader.rs` reads them, as a
//! process whose data segment is limited: an allocation of what a damaged length says
//! aborts it.

use std::fs::File;
use std::process::Command;

/// Files in every run of the suite.
const MUTATIONS: u64 = 160;

#[test]
fn damaged_files_cost_neither_the_process_nor_the_rest_of_the_answer() {
    let setting = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (setting("MUTATIONS", MUTATIONS), setting("MUTATION_SEED", 0));
    let each = count.div_ceil(2);
    let files = tempfile::tempdir().unwrap();
    let path = |stream: &str, n: u64| files.path().join(format!("{stream}{n}"));
    let child = |n: u64| {
        Command::new(env!("CARGO_BIN_EXE_read-damaged"))
            .args([((seed << 32) + n * each).to_string(), each.to_string()])
            .stdout(File::create(path("stdout", n)).unwrap())
            .stderr(File::create(path("stderr", n)).unwrap())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..2).map(|n| (n, child(n))).collect();
    for (n, mut child) in children {
        let status = child.wait().unwrap();
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|stream| std::fs::read_to_string(path(stream, n)).unwrap());
        let said: Vec<_> = stdout.lines().filter(|line| line.contains(": ")).collect();
        let last = said[said.len().saturating_sub(3)..].join("\n");
        assert!(status.success(), "{status}\n{last}\n{stderr}");
        let summary = stdout.lines().find(|line| line.starts_with("named ")).unwrap();
        println!("{summary}");
        // Damage that nothing notices would prove nothing.
        let n_named: u64 = summary.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(n_named * 3 > each, "{summary}");
    }
}
