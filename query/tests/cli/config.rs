//! Formats with names, and colours.

use std::process::Command;

use insta::assert_snapshot;

use crate::support::{Bench, sample};

/// With a configuration file that says `text`.
fn bench(text: &str) -> Bench {
    let bench = Bench::of(&sample());
    std::fs::write(bench.path("flowdump.toml"), text).unwrap();
    bench
}

/// Answers to `args` with the file, one after another.
fn answers(bench: &Bench, all: &[&[&str]]) -> String {
    let answer = |args: &&[&str]| {
        let with = [&["-r", "@/a.parquet", "--utc", "--config", "@/flowdump.toml"], *args].concat();
        format!("$ flowdump --config FILE {}\n{}\n", args.join(" "), bench.run(&with))
    };
    all.iter().map(answer).collect()
}

#[test]
fn formats_have_names() {
    let bench = bench(
        "[formats]\nshort = \"fmt:%sa -> %da %byt\"\nlist = 'csv:%sa,%byt'\nodd = 'fmt:%xyzzy'\nagain = 'short'\nbig = 'long'\n",
    );
    let of: [&[&str]; 8] = [
        &["-o", "short", "-c", "1"],
        &["-o", "short6", "-q", "ipv6"],
        &["-o", "list", "-c", "2"],
        &["-o", "big", "-q", "-c", "1"],
        &["-o", "line", "-q", "-c", "1"],
        &["-o", "odd"],
        &["-o", "again"],
        &["-o", "shrot"],
    ];
    assert_snapshot!("config_formats", answers(&bench, &of));
}

#[test]
fn a_file_that_is_wrong_is_said() {
    let mut text = String::new();
    for file in ["[formats]\nline = 'fmt:%sa'\n", "[formats]\nx = 1\n", "[fromats]\n", "x = [\n", "\u{1b}"] {
        text += &answers(&bench(file), &[&["-o", "short"]]);
    }
    let bench = bench("");
    text += &bench.run(&["-r", "@/a.parquet", "--config", "@/none.toml"]);
    // What is named has to be there, also where it is not needed.
    text += &answers(&bench, &[&["-o", "line", "-q", "-c", "1"], &["-o", "short"]]);
    assert_snapshot!("config_wrong", text);
}

#[test]
fn colours_are_few_and_where_they_are_wanted() {
    let bench = Bench::of(&sample());
    let visible = |args: &[&str]| {
        let text = bench.query(args).replace('\u{1b}', "ESC");
        let lines = text.lines().filter(|line| !line.contains("Sys: ")).map(|line| format!("{line}\n"));
        lines.collect::<String>()
    };
    assert_snapshot!(
        "colours",
        [
            visible(&["--color", "always", "-c", "1"]),
            visible(&["--color", "always", "-s", "srcip", "-n", "1"]),
            visible(&["--color", "always", "-A", "srcip", "-n", "1"]),
            visible(&["--color", "sometimes"]),
        ]
        .join("\n")
    );
    for args in [&["-c", "1"][..], &["--color", "auto"], &["--color", "never"]] {
        assert!(!visible(args).contains("ESC"), "{args:?}");
    }
    for format in ["csv", "csv-fast", "json", "ndjson", "nfjson", "nfndjson", "md", "csv:%sa", "raw"] {
        for question in [&["-c", "1"][..], &["-s", "srcip"], &["-s", "record"], &["-a"], &["-I"]] {
            let plain = [&["-o", format], question].concat();
            let coloured = [&["--color", "always"], &plain[..]].concat();
            let is_table = format == "raw" && question[0] != "-c";
            assert!(is_table || visible(&coloured) == visible(&plain), "{coloured:?}");
        }
    }
}

/// Of the places a file may be in, the first that has one counts.
#[test]
fn the_environment_says_which_file() {
    let bench = bench("[formats]\nx = 'fmt:named %dp'\n");
    let home = bench.path("home/.config");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("flowdump.toml"), "[formats]\nx = 'fmt:home %dp'\n").unwrap();
    std::fs::write(bench.path("other.toml"), "[formats]\nx = 'fmt:option %dp'\n").unwrap();
    let printed = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowdump"));
        command.env_clear().arg("-r").arg(bench.path("a.parquet")).args(["-q", "-c", "1"]).args(args);
        for (name, file) in variables {
            command.env(name, bench.path(file));
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap().lines().next().unwrap_or_default().trim().to_owned()
    };
    let (home, named) = (("HOME", "home"), ("FLOWDUMP_CONFIG", "flowdump.toml"));
    let option = bench.path("other.toml");
    let option = ["-o", "x", "--config", option.to_str().unwrap()];
    assert_eq!(printed(&[home], &["-o", "x"]), "home     53");
    assert_eq!(printed(&[home, named], &["-o", "x"]), "named     53");
    assert_eq!(printed(&[home, named], &option), "option     53");
    assert_eq!(printed(&[("HOME", "nowhere")], &["-o", "x"]), "error: unknown output format `x`");
    // A file that is named has to be there; one that may be does not.
    let missing = printed(&[("FLOWDUMP_CONFIG", "none.toml")], &["-o", "csv"]);
    assert!(missing.ends_with("none.toml`: no such file or directory"), "{missing}");
    std::fs::write(bench.path("home/.config/flowdump.toml"), "no toml").unwrap();
    assert_eq!(printed(&[home], &["-o", "fmt:%dp"]), "53");
    // No terminal shows it.
    assert!(!printed(&[("TERM", "xterm")], &[]).contains('\u{1b}'));
}
