//! The table as Markdown, and what keeps it true.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::rows::{self, Level, Row, Status};

/// Rows of each section: none may go missing.
const SECTIONS: [(&str, usize); 11] = [
    ("V5", 5),
    ("V9", 21),
    ("IPX", 56),
    ("INF", 2),
    ("BIF", 3),
    ("STR", 3),
    ("TYP", 1),
    ("APP", 1),
    ("L2", 1),
    ("NAT", 1),
    ("FILE", 1),
];

/// Tests a row has at least if it is met: what must work, and what must not.
const TESTS_MIN: usize = 2;

const HEAD: &str = "\
# Conformance

What the standards ask of a collector, and how far `flowcapd` does it. A row that is met has tests that send
datagrams to the collector and read its records with the query: of what must work, and of what must not or
of the neighbour that must not be affected.

Generated from `tests/conformance`; `UPDATE_GENERATED=1 cargo test -p flow-tests --test conformance` renews it.

Requirements are in our words. Sections without a document are those of RFC 7011. A row of several levels
counts for each of them; \"format\" is no word of the standards, but follows from what the octets mean.

";

/// Names of the tests of this suite, from its source.
fn tests() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut names = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let source = std::fs::read_to_string(path).unwrap();
        let after_attribute = source.split("#[test]\nfn ").skip(1);
        names.extend(after_attribute.filter_map(|rest| Some(rest.split_once("()")?.0.to_owned())));
    }
    names
}

/// The tests of a row.
fn tests_of<'a>(row: &Row, tests: &'a [String]) -> Vec<&'a str> {
    let prefix = row.test_prefix();
    tests.iter().map(String::as_str).filter(|name| name.starts_with(&prefix)).collect()
}

/// Rows of `level` that are met, and all of them.
fn share(rows: &[Row], level: Level) -> (usize, usize) {
    let of_level = || rows.iter().filter(|row| row.levels.contains(&level));
    (of_level().filter(|row| row.status == Status::Met).count(), of_level().count())
}

fn render(rows: &[Row], tests: &[String]) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("| level | met | partly | declared deviation | share met |\n");
    out.push_str("|---|---:|---:|---:|---:|\n");
    for level in [Level::Must, Level::Should, Level::May, Level::Engineering] {
        let of_level: Vec<_> = rows.iter().filter(|row| row.levels.contains(&level)).collect();
        let (n_met, n_all) = share(rows, level);
        let n = |name| of_level.iter().filter(|row| status_name(row.status) == name).count();
        let percent = 100 * n_met / n_all.max(1);
        writeln!(
            out,
            "| {} | {n_met} | {} | {} | {n_met} of {n_all}, {percent} % |",
            level.name(),
            n("partly"),
            n("deviation")
        )
        .unwrap();
    }
    out.push_str("\n| row | from | level | asks for | status | tests |\n|---|---|---|---|---|---|\n");
    rows.iter().for_each(|row| render_row(&mut out, row, &tests_of(row, tests)));
    out
}

fn render_row(out: &mut String, row: &Row, tests: &[&str]) {
    let levels: Vec<_> = row.levels.iter().map(|level| level.name()).collect();
    let status = match row.status {
        Status::Met => "**met**".to_owned(),
        Status::Partly(missing) | Status::Deviation(missing) => {
            format!("{}: {missing}", status_name(row.status))
        }
    };
    let prefix = row.test_prefix();
    let tests: Vec<_> = tests.iter().map(|name| name[prefix.len()..].replace('_', " ")).collect();
    let (id, section, levels, tests) = (row.id, row.section, levels.join(", "), tests.join("; "));
    writeln!(out, "| {id} | {section} | {levels} | {} | {status} | {tests} |", row.requirement).unwrap();
}

const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Met => "met",
        Status::Partly(_) => "partly",
        Status::Deviation(_) => "deviation",
    }
}

#[test]
fn the_table_in_the_repository_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector/CONFORMANCE.md");
    let fresh = render(&rows::all(), &tests());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "{} is stale; UPDATE_GENERATED=1 rewrites it", path.display());
}

#[test]
fn every_row_that_is_met_has_tests_and_no_other_needs_them() {
    let tests = tests();
    for row in rows::all() {
        let n_tests = tests_of(&row, &tests).len();
        match row.status {
            Status::Met => assert!(n_tests >= TESTS_MIN, "{} has {n_tests} tests", row.id),
            Status::Partly(_) => {}
            Status::Deviation(_) => {
                assert_eq!(n_tests, 0, "{} is not met but has tests", row.id);
            }
        }
    }
}

#[test]
fn every_test_belongs_to_a_row() {
    let rows = rows::all();
    let tests = tests();
    assert!(tests.len() > 100, "the sources are not where they were");
    let sections: Vec<_> =
        SECTIONS.iter().map(|(section, _)| format!("{}_", section.to_lowercase())).collect();
    for name in tests.iter().filter(|name| sections.iter().any(|section| name.starts_with(section))) {
        assert!(rows.iter().any(|row| name.starts_with(&row.test_prefix())), "no row for {name}");
    }
}

#[test]
fn every_section_has_all_its_rows_in_order() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows::all() {
        let (section, number) = row.id.split_once('-').unwrap();
        let n = seen.entry(section).or_default();
        *n += 1;
        assert_eq!(number, n.to_string(), "{}", row.id);
        assert!(!row.requirement.contains('|') && !row.requirement.ends_with('.'), "{}", row.id);
    }
    assert_eq!(seen, BTreeMap::from(SECTIONS));
}

#[test]
fn what_is_met_only_grows() {
    let rows = rows::all();
    let (n_must, _) = share(&rows, Level::Must);
    let (n_should, _) = share(&rows, Level::Should);
    assert!(n_must >= MUSTS_MET_MIN, "{n_must} MUSTs are met, {MUSTS_MET_MIN} were");
    assert!(n_should >= SHOULDS_MET_MIN, "{n_should} SHOULDs are met, {SHOULDS_MET_MIN} were");
}

/// Rows met when this was last written: a change that meets fewer is a mistake.
const MUSTS_MET_MIN: usize = 41;
const SHOULDS_MET_MIN: usize = 22;
