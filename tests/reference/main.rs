//! `flowdump` answers random questions as a slow reference does that shares no code
//! with it. `REFERENCE_CASES=10000` asks more, `REFERENCE_SEED=7` others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "a long run says how it went")]

use std::time::Instant;

use flow_tests::query::flowdump;
use flow_tests::reference::{self, Case, Tree, packets, store};

/// Questions in every run of the suite.
const CASES: u64 = 200;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Options that change no answer, as far as this `flowdump` knows them.
fn neutral_options(tree: &Tree) -> Vec<Vec<String>> {
    let all: [&[&str]; 8] = [
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "8"],
        &["--memory", "64k"],
        &["--memory", "64k", "--threads", "1"],
        &["--memory", "64k", "--threads", "2"],
        &["--memory", "64k", "--threads", "8"],
        &["--two-passes-from", "0"],
    ];
    let known = all.iter().filter(|option| reference::is_known(tree, option));
    let known: Vec<Vec<String>> =
        known.map(|option| option.iter().map(|&word| word.to_owned()).collect()).collect();
    let words: Vec<_> = known.iter().map(|option| option.join(" ")).collect();
    println!(
        "options that change no answer: {}",
        if known.is_empty() { "none known".into() } else { words.join(", ") }
    );
    std::iter::once(Vec::new()).chain(known).collect()
}

/// Asks `n_cases` questions of the trees by turns; says every disagreement.
#[track_caller]
fn check_with(
    trees: &[Tree],
    n_cases: u64,
    ask: impl Fn(u64, &Tree, &[String]) -> Result<reference::Verdict, String>,
) {
    let options = neutral_options(&trees[0]);
    let first = setting("REFERENCE_SEED", 0);
    let (mut failures, mut n_empty, mut n_all) = (Vec::new(), 0, 0);
    let started = Instant::now();
    for n in 0..n_cases {
        let seed = first.wrapping_mul(1 << 32) + n;
        let turn = usize::try_from(n).unwrap();
        let tree = &trees[turn % trees.len()];
        match ask(seed, tree, &options[turn / trees.len() % options.len()]) {
            Ok(verdict) => {
                n_empty += u64::from(verdict.matched == 0);
                n_all += u64::from(verdict.matched == tree.rows());
            }
            Err(message) => failures.push(format!("seed {seed}, {message}")),
        }
    }
    println!(
        "{n_cases} questions in {:.1?}: {n_empty} matched nothing, {n_all} everything, {} disagree",
        started.elapsed(),
        failures.len()
    );
    let shown = failures[..failures.len().min(5)].join("\n\n");
    assert!(failures.is_empty(), "{} of {n_cases} disagree\n{shown}", failures.len());
    assert!(n_cases < 50 || n_empty * 2 < n_cases && n_all * 2 < n_cases, "the filters tell too little");
}

#[track_caller]
fn check(trees: &[Tree], n_cases: u64) {
    check_with(trees, n_cases, |seed, tree, options| reference::check(tree, &Case::new(seed, tree, options)));
}

#[test]
fn aggregated_flows_add_up_to_what_those_of_the_reference_do() {
    let trees: Vec<_> = (0..8).map(|n| store::tree(100 + n, 2, 300)).collect();
    if reference::is_known(&trees[0], &["-A", "srcip4/24,dstport", "-O", "bytes"]) {
        check_with(&trees, setting("REFERENCE_CASES", CASES) / 4, reference::check_aggregated);
    } else {
        println!("skipped: this flowdump has no `-A`");
    }
}

#[test]
fn what_is_measured_of_groups_is_what_the_reference_measures() {
    let mut trees: Vec<_> = (0..8).map(|n| store::tree(200 + n, 2, 300)).collect();
    trees.extend((0..2).map(|n| packets::tree(200 + n, 1_500)));
    check_with(&trees, setting("REFERENCE_CASES", CASES), reference::check_measured);
    let ours = (0..4).map(|n| store::tree_of_ours(200 + n, 3, 300));
    let trees: Vec<_> = ours.map(Tree::compacted).collect();
    check_with(&trees, setting("REFERENCE_CASES", CASES) / 2, reference::check_measured);
}

#[test]
fn files_of_every_shape_are_answered_as_the_reference_does() {
    let seeds = setting("REFERENCE_SEED", 0) * 1_000;
    let trees: Vec<_> = (0..24).map(|n| store::tree(seeds + n, 3, 400)).collect();
    check(&trees, setting("REFERENCE_CASES", CASES));
}

#[test]
fn what_the_collector_stored_is_answered_as_the_reference_does() {
    let seed = setting("REFERENCE_SEED", 0);
    let trees: Vec<_> = (0..3).map(|n| packets::tree(seed * 1_000 + n, 1_500)).collect();
    check(&trees, setting("REFERENCE_CASES", CASES) / 4);
    // Longer than a page of the collector's has rows.
    check(&[packets::tree(seed + 1, 45_000)], (setting("REFERENCE_CASES", CASES) / 40).min(200));
}

/// The rows of a compacted hour are those of its files, so both are asked.
#[test]
fn a_compacted_hour_is_answered_as_the_reference_does() {
    let seed = setting("REFERENCE_SEED", 0) * 1_000;
    let mut trees: Vec<_> = (0..12).map(|n| store::tree_of_ours(seed + n, 3, 400)).collect();
    trees.extend((0..3).map(|n| packets::tree(seed + n, 1_500)));
    let n_cases = setting("REFERENCE_CASES", CASES) / 2;
    check(&trees, n_cases / 4);
    let trees: Vec<_> = trees.into_iter().map(Tree::compacted).collect();
    check(&trees, n_cases);
}

/// A rate of 0 or less is none (the collector stores NULL), also where a row group has
/// no NULL among them.
#[test]
fn a_rate_of_zero_is_looked_up_like_one_that_is_null() {
    use flow_common::column::ColumnId;
    let trees = [store::tree_with(7, 3, 400, &|place, row| {
        (place == ColumnId::SamplingRate as usize).then(|| [0, 10, -5][row % 3])
    })];
    check(&trees, 60);
}

/// The largest groups by two passes are those by one, which the reference answers for.
#[test]
fn two_passes_find_what_one_finds() {
    let mut trees: Vec<_> = (0..6).map(|n| store::tree(n, 3, 400)).collect();
    trees.extend((0..2).map(|n| packets::tree(n, 1_500)));
    let mut n_full = 0;
    for (tree, words) in trees.iter().flat_map(|tree| {
        let words = ["srcip", "dstip:p", "ip", "record", "router", "insrcmac"];
        words.into_iter().map(move |word| (tree, word))
    }) {
        for (order, top, filter, scale) in [
            ("bytes", "1", "", "--no-scale"),
            ("packets/flows", "3", "", "--no-scale"),
            ("flows", "10", "", "--scale"),
            ("bytes/packets", "5", "not port 443", "--scale"),
        ] {
            let statistic = format!("{words}/{order}");
            let ask = |from: &str| {
                let args =
                    ["-s", &statistic, "-n", top, "-o", "ndjson", scale, "--two-passes-from", from, filter];
                let output = flowdump(tree.root(), &args);
                assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
                output.stdout
            };
            let (two, one) = (ask("0"), ask("1000000000"));
            assert_eq!(two, one, "{} {statistic} -n {top} {filter:?} {scale}", tree.name);
            n_full += u64::from(one.lines().count() >= top.parse().unwrap());
        }
    }
    assert!(n_full > 100, "only {n_full} questions have so many groups that two passes are taken");
}
