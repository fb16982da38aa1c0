//! Manual pages and completions of the package, made of the command lines themselves. They lie
//! in `collector/packaging/`, so that a package is made without a further step:
//!
//! ```text
//! UPDATE_GENERATED=1 cargo test -p flow-tests --test manual
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::{Shell, generate_to};

/// Files below a directory that hold what is made.
type Files = BTreeMap<String, String>;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector/packaging")
}

fn files(directory: &Path) -> Files {
    let Ok(entries) = fs::read_dir(directory) else { return Files::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// A page whose last section keeps its lines: examples, and lists in columns.
fn as_typed(page: &str) -> String {
    match page.split_once(".SH EXTRA\n") {
        Some((head, tail)) => {
            let (extra, version) = tail.split_once(".SH VERSION").map_or((tail, None), |(a, b)| (a, Some(b)));
            let version = version.map(|text| format!(".SH VERSION{text}")).unwrap_or_default();
            format!("{head}.SH DETAILS\n.nf\n{}\n.fi\n{version}", extra.trim_end())
        }
        None => page.to_owned(),
    }
}

#[track_caller]
fn check(name: &str, made: &Files) {
    let directory = packaging().join(name);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        // An earlier command line's go.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        made.iter().for_each(|(name, text)| fs::write(directory.join(name), text).unwrap());
    }
    let found = files(&directory);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    let hint = "`UPDATE_GENERATED=1 cargo test -p flow-tests --test manual` makes them anew";
    assert_eq!(names(&found), names(made), "files in collector/packaging/{name}; {hint}");
    for (file, text) in made {
        assert!(found[file] == *text, "collector/packaging/{name}/{file} is of another command line; {hint}");
    }
}

#[test]
fn pages_are_those_of_the_command_lines() {
    let directory = tempfile::tempdir().unwrap();
    for command in [flow_collector::harness::whole_command(), flow_query::harness::whole_command()] {
        clap_mangen::generate_to(command, directory.path()).unwrap();
    }
    let made: Files =
        files(directory.path()).into_iter().map(|(name, text)| (name, as_typed(&text))).collect();
    for name in ["flowcapd.1", "flowcapd-status.1", "flowdump.1", "flowdump-import.1", "flowdump-replay.1"] {
        assert!(made.contains_key(name), "{name} is not among {:?}", made.keys());
    }
    check("manual", &made);
}

#[test]
fn shells_complete_what_can_be_typed() {
    let directory = tempfile::tempdir().unwrap();
    for (name, command) in [
        ("flowcapd", flow_collector::harness::whole_command()),
        ("flowdump", flow_query::harness::whole_command()),
    ] {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            generate_to(shell, &mut command.clone(), name, directory.path()).unwrap();
        }
    }
    check("completions", &files(directory.path()));
}
