//! Every format and every exit code as whole commands. Both lists come from the program itself: a
//! format, or a command, without a snapshot here fails.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flow_common::addr::Addr16;
use flow_query::{Env, Zone};
use insta::assert_snapshot;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::formats::arrow;
use crate::support::{Bench, NOW, sample};

/// Formats a format's name ends with a colon for, and what is put behind it.
const TAGS: &str = "%ts,%sa,%byt";
/// Arrow has columns and no tags.
const COLUMNS: &str = "flow_start,src_addr,bytes";

/// What each format is asked.
const QUESTIONS: [&[&str]; 6] = [
    &["-c", "3"],
    &["-s", "srcip/bytes", "-n", "2"],
    &["-s", "record/bytes", "-n", "2"],
    &["-A", "proto,dstport", "-O", "bytes", "-n", "3"],
    &["-b", "-n", "2"],
    &["port 9"],
];

/// The formats that `-o` says it knows, with something behind their colon.
fn formats(bench: &Bench) -> Vec<String> {
    let (_, _, said) = bench.run_raw(&["-r", "@", "-o", "~~~~~~~~"]);
    let list = said.split_once("hint: one of ").unwrap().1.trim_end();
    let named = |word: &str| match word {
        "arrow:" => format!("{word}{COLUMNS}"),
        "fmt:" => format!("{word}{}", TAGS.replace(',', " ")),
        _ if word.ends_with(':') => format!("{word}{TAGS}"),
        _ => word.to_owned(),
    };
    let words: Vec<_> = list.split(", ").map(named).collect();
    // A 6 at the end is a format, too, where it is one.
    let full = words
        .iter()
        .map(|word| format!("{word}6"))
        .filter(|word| !word.contains(':') && bench.run_raw(&["-r", "@", "-o", word, "-c", "1"]).0 == 0);
    let full: Vec<_> = full.collect();
    words.into_iter().chain(full).collect()
}

/// Octets of an answer, and its exit code and messages.
fn octets(bench: &Bench, args: &[&str]) -> (u8, Vec<u8>, String) {
    let directory = bench.directory.path().to_str().unwrap();
    let args = [&["flowdump", "-r", directory, "--utc"], args].concat();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let env = Env { now: NOW, zone: Zone::Utc };
    let code = flow_query::run(args.iter().map(OsString::from), &mut stdout, &mut stderr, env);
    (code, stdout, String::from_utf8(stderr).unwrap())
}

/// An answer that is no text, told in words.
fn told(bench: &Bench, format: &str, question: &[&str]) -> String {
    let args = [&["-o", format], question].concat();
    let (code, stdout, stderr) = octets(bench, &args);
    if code != 0 {
        return bench.query(&args);
    }
    assert_eq!(stderr, "");
    if format == "parquet" {
        let path = bench.path("elsewhere");
        std::fs::write(&path, stdout).unwrap();
        let read = bench.run(&["-r", "@/elsewhere", "--utc", "-o", "ndjson"]);
        std::fs::remove_file(path).unwrap();
        return format!("read again by `flowdump -o ndjson`:\n{read}");
    }
    let batches = arrow(bench, &[&[format, "--utc"], question].concat());
    let cells = |batch: &arrow_array::RecordBatch, row: usize| {
        let fields = batch.schema();
        let columns = fields.fields().iter().zip(batch.columns()).filter(|(_, column)| column.is_valid(row));
        columns
            .map(|(field, column)| format!("{}={}", field.name(), cell(column, row)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| cells(batch, row) + "\n"));
    format!(
        "exit: 0\n--- stdout, {} columns of Arrow\n{}",
        batches[0].num_columns(),
        rows.collect::<String>()
    )
}

fn cell(column: &arrow_array::ArrayRef, row: usize) -> String {
    use arrow_array::cast::AsArray;
    if let Some(octets) = column.as_fixed_size_binary_opt() {
        return octets
            .value(row)
            .try_into()
            .map_or_else(|_| "octets".to_owned(), |octets| Addr16(octets).to_string());
    }
    // With more features of arrow it is shown otherwise.
    if let Some(times) = column.as_primitive_opt::<arrow_array::types::TimestampMicrosecondType>() {
        return format!("{} µs", times.value(row));
    }
    let shown = format!("{:?}", column.slice(row, 1));
    let lines: Vec<&str> = shown.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(2)).unwrap_or(&"").trim_end_matches(',').to_owned()
}

#[test]
fn every_format_has_its_snapshot() {
    let bench = Bench::of(&sample());
    let formats = formats(&bench);
    assert!(formats.len() > 30, "{formats:?}");
    for format in &formats {
        let mut text = String::new();
        for question in QUESTIONS {
            let is_text = !format.starts_with("arrow") && format != "parquet";
            let args = [&["-o", format], question].concat();
            let answer = if is_text { bench.query(&args) } else { told(&bench, format, question) };
            text += &format!("$ flowdump {}\n{answer}\n", args.join(" "));
        }
        let name: String = format.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        assert_snapshot!(format!("format_{name}"), text);
    }
}

/// Every command by its exit codes: done, failed, usage or filter, partial. `top` needs a
/// terminal, so it can't be done here, and it reads files as they come, so it is never partial.
const EXITS: [(&str, u8, &[&str]); 24] = [
    ("", 0, &["-r", "@/whole", "-o", "null"]),
    ("", 0, &["-r", "@/whole", "-q", "port 9"]),
    ("", 1, &["-r", "@/none"]),
    ("", 1, &["-r", "@/whole", "-f", "@/none"]),
    ("", 1, &["-r", "@/whole", "-w", "@/none/x.parquet/y.parquet", "-c", "1", "--config", "@/none"]),
    ("", 2, &["-r", "@/whole", "--none"]),
    ("", 2, &["-r", "@/whole", "prot tcp"]),
    ("", 2, &["-r", "@/whole", "-A", "none"]),
    ("", 3, &["-r", "@/damaged", "-o", "null"]),
    ("import", 0, &["@/empty", "-w", "@/new"]),
    ("import", 1, &["@/none", "-w", "@/new"]),
    ("import", 2, &["@/empty"]),
    ("import", 3, &["@/damaged/a.parquet", "-w", "@/new"]),
    ("replay", 0, &["-r", "@/whole", "-H", "127.0.0.1", "-p", "9", "-q", "port 9"]),
    ("replay", 1, &["-r", "@/none", "-p", "9"]),
    ("replay", 2, &["-r", "@/whole", "-v", "7"]),
    ("replay", 3, &["-r", "@/damaged", "-H", "127.0.0.1", "-p", "9", "-q"]),
    ("verify", 0, &["-q", "@/whole"]),
    ("verify", 1, &["@/none"]),
    ("verify", 2, &["--none"]),
    ("verify", 3, &["-q", "@/damaged"]),
    ("top", 2, &["-r", "@/whole"]),
    ("top", 2, &["-r", "@/whole", "--window", "7"]),
    ("top", 2, &["-r", "@/whole", "prot tcp"]),
];

#[test]
fn every_command_has_its_exit_codes() {
    let bench = Bench::empty();
    crate::support::write(&bench.path("whole/a.parquet"), &sample(), &crate::support::Fixture::default());
    std::fs::create_dir(bench.path("damaged")).unwrap();
    std::fs::create_dir(bench.path("empty")).unwrap();
    std::fs::write(bench.path("damaged/a.parquet"), "no Parquet").unwrap();
    let mut text = String::new();
    for (command, code, args) in EXITS {
        let command = Some(command).filter(|command| !command.is_empty());
        let args: Vec<&str> = command.into_iter().chain(args.iter().copied()).collect();
        let said = bench.run(&args);
        assert!(said.starts_with(&format!("exit: {code}\n")), "{args:?}: {said}");
        text += &format!("$ flowdump {}\n{said}\n", args.join(" "));
    }
    assert_snapshot!("exit_codes", text);
    let commands = flow_query::harness::whole_command();
    let commands: BTreeSet<&str> =
        commands.get_subcommands().map(clap::Command::get_name).chain([""]).collect();
    let wanted = commands.iter().flat_map(|&command| {
        let codes: &[u8] = if command == "top" { &[2] } else { &[0, 1, 2, 3] };
        codes.iter().map(move |&code| (command, code))
    });
    let missing: Vec<_> =
        wanted.filter(|wanted| !EXITS.iter().any(|&(command, code, _)| (command, code) == *wanted)).collect();
    assert_eq!(missing, [], "no case of EXITS");
}

/// Starts the program, and stops it with Ctrl-C while it has still something to do.
#[track_caller]
fn interrupted(args: &[&str], directory: &Path) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowdump"))
        .args(args)
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A busy machine takes its time to start it.
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "{args:?} ended by itself");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{args:?}");
}

#[test]
fn an_interrupt_ends_every_command_with_130() {
    let bench = Bench::of(&sample());
    // A pipe that nobody writes to: whoever reads it waits.
    let pipe = bench.path("pipe.parquet");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let directory = bench.directory.path();
    interrupted(&["-r", ".", "--follow"], directory);
    interrupted(&["replay", "-r", "a.parquet", "-H", "127.0.0.1", "-p", "9", "--rate", "1"], directory);
    interrupted(&["import", "pipe.parquet", "-w", "new"], directory);
    interrupted(&["verify", "pipe.parquet"], directory);
}
