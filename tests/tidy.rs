//! House rules that a compiler does not check.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file before its tests; more wants a reason, and an entry below.
const FILE_LINES_MAX: usize = 600;

/// Files that may be longer, and why.
const LONG_FILES: [(&str, &str); 1] =
    [("common/src/element/generated.rs", "generated: one line for each element of the registry")];

/// All that may lie at the top of the repository beside hidden files.
const TOP_LEVEL: [&str; 16] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "collector",
    "common",
    "query",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "testdata",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directories: Vec<_> =
        ["common", "collector", "query", "tests"].map(|name| root().join(name)).into();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                // A fuzz crate has a target directory of its own.
                if !path.ends_with("target") {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 30, "the sources are not where they were");
    found
}

#[track_caller]
fn check(rule: &str, broken_by: impl Fn(&str, &str) -> bool) {
    let broken: Vec<_> =
        sources().into_iter().filter(|(name, text)| broken_by(name, text)).map(|(name, _)| name).collect();
    assert!(broken.is_empty(), "{rule}: {broken:?}");
}

#[test]
fn files_are_of_a_size_to_read() {
    check("a file past 600 lines before its tests wants a reason", |name, text| {
        let lines = text.lines().take_while(|line| !line.contains("#[cfg(test)]")).count();
        lines > FILE_LINES_MAX && !LONG_FILES.iter().any(|(file, _)| *file == name)
    });
}

#[test]
fn every_file_says_what_it_is_for() {
    check("a file begins with its documentation", |_, text| !text.starts_with("//!"));
    check("name a file for what it does", |name, _| name.ends_with("utils.rs") || name.ends_with("/mod.rs"));
}

#[test]
fn data_flows_one_way() {
    check("the decoder knows no file, socket, thread or Arrow", |name, text| {
        let is_decoder = name.starts_with("collector/src/decode") || name == "collector/src/flow.rs";
        let is_foreign = |line: &str| {
            [
                "arrow_",
                "parquet::",
                "crate::writer",
                "crate::batch",
                "crate::pipeline",
                "std::fs",
                "tokio",
                "SystemTime",
            ]
            .iter()
            .any(|word| line.contains(word))
        };
        is_decoder && text.lines().any(|line| line.starts_with("use ") && is_foreign(line))
    });
    check("the halves do not know each other", |name, text| {
        name.starts_with("query/") && text.contains("flow_collector")
            || name.starts_with("collector/") && text.contains("flow_query")
    });
    check("what both know does no I/O", |name, text| {
        name.starts_with("common/src")
            && ["std::fs", "std::net::Udp", "tokio"].iter().any(|word| text.contains(word))
    });
}

#[test]
fn unsafe_code_lies_in_one_place() {
    check("unsafe code belongs to the modules made for it", |name, text| {
        let is_allowed = name == "collector/src/socket/drops.rs" || name == "tests/tidy.rs";
        !is_allowed && text.lines().any(|line| line.contains("unsafe {") || line.contains("unsafe fn"))
    });
}

#[test]
fn a_standard_is_cited_with_its_section() {
    check("an RFC is cited with its section", |name, text| {
        let cites = |line: &str| {
            line.match_indices("RFC ").any(|(at, _)| {
                let rest = &line[at + 4..];
                let digits = rest.chars().take_while(char::is_ascii_digit).count();
                digits > 0 && !rest[digits..].starts_with(" §")
            })
        };
        // The whole document is meant: its format, its notation, its registry.
        let whole = [
            "RFC 3339",
            "RFC 4180",
            "RFC 7011/",
            "RFC 8158",
            "RFC 5103)",
            "RFC 7012)",
            "RFC 6759)",
            "RFC 7011,",
        ];
        name.starts_with("collector/src")
            && text.lines().any(|line| {
                line.contains("//") && cites(line) && !whole.iter().any(|word| line.contains(word))
            })
    });
}

#[test]
fn nothing_else_lies_at_the_top() {
    let names =
        fs::read_dir(root()).unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let foreign: Vec<_> = names
        .filter(|name| !name.starts_with('.') && name != "target" && name != "flows")
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn every_capture_has_its_provenance_and_golden_records() {
    let readme = fs::read_to_string(root().join("testdata/README.md")).unwrap();
    let captures = flow_tests::captures();
    for name in &captures {
        assert!(
            readme.contains(&format!("`{name}.pcap`")),
            "testdata/README.md does not say where {name} is from"
        );
        assert!(
            root().join(format!("testdata/golden/{name}.ndjson")).is_file(),
            "{name} has no golden records"
        );
    }
    for entry in fs::read_dir(root().join("testdata/golden")).unwrap().flatten() {
        let stem = entry.path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(captures.contains(&stem), "golden records of a capture that is gone: {stem}");
    }
}
