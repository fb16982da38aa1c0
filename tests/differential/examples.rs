//! The examples of nfdump's manual page and of its options, as they are typed, with the
//! program's name changed.
//!
//! Both programs have the same flows in `flowfile`, and by protocol in files of two directories
//! that lie side by side; each has names of its own for these, which stand for the manual's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_tests::query;

use crate::ask::Said;
use crate::normal::{self, Rank, Shape};
use crate::store::Stores;

/// How the two answers must be.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// The same rows.
    Same(Shape),
    /// nfdump 1.7.1 has no answer, or another one for the reason given; ours has these many rows.
    Ours(usize, &'static str),
    /// Both write as many flows to this file.
    Writes(&'static str),
    /// There is none here; what to type instead is said.
    Instead(&'static str),
}

use Expect::{Instead, Ours, Same, Writes};

const fn by_bytes(top: usize) -> Expect {
    Same(Shape::Statistic { rank: Rank::FromEnd(3), top })
}

const fn by_flows(top: usize) -> Expect {
    Same(Shape::Statistic { rank: Rank::FromEnd(6), top })
}

const LINES: Expect = Same(Shape::Lines);

/// Command lines; what is between quotes is one argument.
#[rustfmt::skip]
const EXAMPLES: &[(&str, Expect)] = &[
    // EXAMPLES of the manual page.
    ("nfdump -r flowfile -w newfile1", Writes("newfile1")),
    ("nfdump -r flowfile -s ip/flows/bytes -n 20", Ours(40, "it counts a flow from a host to itself twice")),
    ("nfdump -r flowfile -s srcip/bytes -s dstip/bytes -n 20 'port 443'", Ours(40, "it adds both directions")),
    ("nfdump -r flowfile -s record/bytes -A srcip,dstip", Ours(10, "it adds both directions")),
    ("nfdump -r flowfile -o raw 'payload regex 'GET|POST''", Instead("`app \"http\"`")),
    ("nfdump -r flowfile -s ja5 -n 0 'payload ja3 defined'", Instead("exporters send no payload")),
    ("nfdump -r flowfile -a -Otstart -w newfile2", Writes("newfile2")),
    // Of its options.
    ("nfdump -r flowfile -s srcip -s ip/flows/bytes -s record/bytes", Ours(40, "its tables have no order")),
    ("nfdump -r flowfile -s srcip -n 5 'not out packets > 0'", by_flows(5)),
    ("nfdump -r flowfile -s dstport/bytes -n 5 'not out packets > 0'", by_bytes(5)),
    ("nfdump -r flowfile -c 100 -q", LINES),
    ("nfdump -r flowfile -q -o 'fmt:%ts %td %pr %sap -> %dap %pkt %byt %fl' 'proto tcp and ip 8.8.8.8'", LINES),
    ("nfdump -r flowfile -q -o 'fmt:%long %ra' 'proto tcp and ip 8.8.8.8'", LINES),
    ("nfdump -r flowfile -q -o long 'flags S and not flags AFRPU'", Ours(1, "it takes `not flags` for none of them")),
    ("nfdump -r flowfile -q -o extended 'packets > 1k and bytes > 1k'", LINES),
    ("nfdump -r flowfile -q 'not proto tcp and (port 53 or port 123)'", LINES),
    ("nfdump -r flowfile -q -f filterfile", LINES),
    ("nfdump -r flowfile -C none -q 'dst port in [80 443 8080] and src net 10.0.0.0/12'", LINES),
    ("nfdump -r flowfile -q -6 -o long 'ipv6 and proto tcp and (src port > 1024 and dst port 80)'", LINES),
    ("nfdump -r flowfile -q -N -O tstart -n 50 'proto udp'", Same(Shape::Statistic { rank: Rank::Start, top: 50 })),
    ("nfdump -r flowfile -q -N -a -O bytes -n 20 'not out packets > 0'", Same(Shape::Statistic { rank: Rank::FromEnd(2), top: 20 })),
    ("nfdump -r flowfile -N -A srcip4/24,dstport -O bytes -n 20 'ipv4 and not out packets > 0'", Same(Shape::Groups { rank: Rank::FromEnd(4), top: 20 })),
    ("nfdump -r flowfile -q -t 2026/11/21.12:00:00-2026/11/21.12:01:00", Ours(1, "its window ends where its last second begins")),
    ("nfdump -r flowfile -q -t +10", Instead("`-10s`")),
    ("nfdump -r flowfile -b -q 'port 443'", Ours(1, "it joins what is not the other direction")),
    ("nfdump -r flowfile -B -q 'port 443'", Ours(1, "as above")),
    ("nfdump -r flowfile -q -o json 'proto icmp'", Same(Shape::Json)),
    ("nfdump -r flowfile -q -o pipe 'proto icmp'", Instead("`-o csv-fast`")),
    ("nfdump -r flowfile -q -o nel 'proto icmp'", Instead("`-o nat`")),
    ("nfdump -I -r flowfile", Ours(1, "it counts flows of both directions twice")),
    ("nfdump -E flowfile", Ours(1, "it numbers sequence failures that are none")),
    ("nfdump -v flowfile", Ours(1, "it counts blocks")),
    ("nfdump -r flowfile -Z 'proto tcp'", Ours(0, "nothing is to be said")),
    ("nfdump -r flowfile -X 'proto tcp'", Instead("`--explain`")),
    ("nfdump -r flowfile -w newfile3 -z", Instead("compressed")),
    ("nfdump -r flowfile -J 3", Instead("compressed")),
    ("nfdump -r flowfile -i edge2", Instead("`flowcapd -I IDENT`")),
    // Files in sequence, and sibling directories.
    ("nfdump -r dir1 -q -N", LINES),
    ("nfdump -R dir1 -q -N", LINES),
    ("nfdump -R dir1/file2 -q -N", LINES),
    ("nfdump -R dir1/file1:file2 -q -N", LINES),
    ("nfdump -R sub1/sub2/file1:sub3/sub4/file2 -q -N", LINES),
    ("nfdump -M ./dir1:dir2 -R file1:file2 -q -N", LINES),
    ("nfdump -M ./dir1:dir2 -R file2 -s proto -n 20 'not out packets > 0'", by_flows(20)),
    ("nfdump -M ./dir1:dir2 -r file3 -q -N", LINES),
    // Of 1.7.8 alone.
    ("nfdump -r flowfile -A srcip -n 20 -P 'packets > 10'", Ours(20, "1.7.1 has no `-P`")),
    ("nfdump -r flowfile -q -o csv-fast -c 10", Ours(10, "1.7.1 has no `csv-fast`")),
    ("nfdump -r flowfile -q -o ndjson -W 1 -c 10", Ours(10, "1.7.1 has no `ndjson`")),
    ("nfdump -r flowfile -g", Ours(1, "1.7.1 has no `-g`")),
];

/// Files of one of the programs, by the names of the manual.
struct Files {
    directory: tempfile::TempDir,
    names: [(&'static str, &'static str); 4],
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An argument with our names for files, below the directory.
    fn named(&self, arg: &str) -> String {
        let name = |part: &str| {
            self.names.iter().find(|(theirs, _)| *theirs == part).map_or(part, |(_, own)| own).to_owned()
        };
        let is_path = |arg: &str| {
            ["flowfile", "newfile", "filterfile", "dir1", "./dir1", "sub1", "file"]
                .iter()
                .any(|start| arg.starts_with(start))
        };
        if !is_path(arg) {
            return arg.to_owned();
        }
        let parts = |path: &str| path.split('/').map(name).collect::<Vec<_>>().join("/");
        arg.split(':').map(parts).collect::<Vec<_>>().join(":")
    }

    /// The arguments of a command line.
    fn args(&self, line: &str) -> Vec<String> {
        words(line).iter().skip(1).map(|arg| self.named(arg)).collect()
    }
}

/// Words of a command line; between the first and the last quote of a piece is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            // Quotes inside quotes are part of it, as the manual has them.
            Some(quoted) => {
                let end = quoted.match_indices('\'').map(|(at, _)| at).find(|&at| {
                    let next = &quoted[at + 1..];
                    next.is_empty() || next.starts_with(" -") || next.starts_with('\'')
                });
                let end = end.unwrap_or(quoted.len());
                let end = if quoted[end..].starts_with("''") { end + 1 } else { end };
                (&quoted[..end], quoted.get(end + 1..).unwrap_or_default())
            }
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

fn theirs(files: &Files, args: &[String]) -> Said {
    let output = Command::new("nfdump")
        .env("TZ", "UTC")
        .current_dir(files.directory.path())
        .args(args)
        .output()
        .unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() { Ok(stdout) } else { Err(format!("{stderr}{stdout} ({})", output.status)) }
}

/// In the directory, as paths of the examples are relative.
fn ours(files: &Files, args: &[String]) -> query::Output {
    let root = files.directory.path();
    let placed = |(index, arg): (usize, &String)| {
        let is_of = |options: &[&str]| index > 0 && options.contains(&args[index - 1].as_str());
        match arg.as_str() {
            arg if is_of(&["-M"]) => root.join(arg).display().to_string(),
            arg if is_of(&["-r", "-R", "-w", "-f", "-E", "-v"]) && !args.contains(&"-M".to_owned()) => {
                root.join(arg).display().to_string()
            }
            arg => arg.to_owned(),
        }
    };
    query::flowdump_with(&args.iter().enumerate().map(placed).collect::<Vec<_>>())
}

/// The flows, whole and in pieces.
fn files(stores: &Stores) -> [Files; 2] {
    let made = |names| Files { directory: tempfile::tempdir().unwrap(), names };
    let of_nfdump = made([
        ("flowfile", "flowfile"),
        ("file1", "nfcapd.202611211200"),
        ("file2", "nfcapd.202611211205"),
        ("file3", "nfcapd.202611211210"),
    ]);
    let of_flowdump = made([
        ("flowfile", "flowfile.parquet"),
        ("file1", "flowcap.202611211200.parquet"),
        ("file2", "flowcap.202611211205.parquet"),
        ("file3", "flowcap.202611211210.parquet"),
    ]);
    let pieces = [
        ("flowfile", "any"),
        ("file1", "proto tcp and in if 12"),
        ("file2", "proto udp and in if 12"),
        ("file3", "not (proto tcp or proto udp) and in if 12"),
    ];
    for files in [&of_nfdump, &of_flowdump] {
        for name in ["dir1", "dir2", "sub1/sub2", "sub3/sub4"] {
            fs::create_dir_all(files.path(name)).unwrap();
        }
        fs::write(files.path("filterfile"), "proto tcp # with a comment\nand dst port 443\n").unwrap();
        for (name, filter) in pieces {
            let path = files.path(&files.named(name));
            write(stores, files.names[0].1 == "flowfile", &path, filter);
            let copy = |directory: &str| {
                fs::copy(&path, files.path(directory).join(path.file_name().unwrap())).unwrap();
            };
            match name {
                "flowfile" => continue,
                "file1" => ["dir1", "dir2", "sub1/sub2"].map(copy),
                "file2" => ["dir1", "dir2", "sub3/sub4"].map(copy),
                _ => ["dir1", "dir2", "dir2"].map(copy),
            };
            fs::remove_file(&path).unwrap();
        }
    }
    [of_nfdump, of_flowdump]
}

fn write(stores: &Stores, is_nfdump: bool, path: &Path, filter: &str) {
    let path = path.to_str().unwrap();
    let is_done = if is_nfdump {
        let directory = stores.nfcapd.path().to_str().unwrap();
        Command::new("nfdump").args(["-R", directory, "-w", path, filter]).output().unwrap().status.success()
    } else {
        query::flowdump(stores.flowcapd.directory.path(), &["-w", path, filter]).code == 0
    };
    assert!(is_done, "{path}");
}

/// Rows of an answer: lines but titles and what is said of the run.
fn n_rows(text: &str) -> usize {
    let is_row = |line: &&str| {
        let titles = [
            "Date ",
            "Top ",
            "Summary",
            "Time window",
            "Total ",
            "Sys: ",
            "No matching",
            "Scaled",
            "Not complete",
            "cnt,",
            "#",
        ];
        !line.trim().is_empty() && !titles.iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(is_row).count()
}

fn flows_of(of: &Said) -> Result<String, String> {
    let text = of.as_ref().map_err(Clone::clone)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Summary: total flows: "));
    line.and_then(|rest| rest.split(',').next())
        .map(str::to_owned)
        .ok_or_else(|| format!("no summary in {text:?}"))
}

/// What is wrong with one example.
fn check(line: &str, expect: Expect, [nfdump, flowdump]: &[Files; 2]) -> Result<(), String> {
    let found = ours(flowdump, &flowdump.args(line));
    if let Instead(words) = expect {
        let is_said = found.code == 2 && found.stderr.contains("\nhint: ") && found.stderr.contains(words);
        return if is_said { Ok(()) } else { Err(format!("{found:?}")) };
    }
    if found.code != 0 {
        return Err(format!("{found:?}"));
    }
    match expect {
        Ours(n, reason) => {
            let rows = n_rows(&found.stdout);
            if (n == 0 && rows == 0) || (n > 0 && rows >= n) {
                Ok(())
            } else {
                Err(format!("{rows} rows ({reason}): {}", found.stdout))
            }
        }
        Writes(name) => {
            theirs(nfdump, &nfdump.args(line))?;
            // Aggregated or not, no flow is lost.
            let asked = |name: &str| ["-r", name].map(str::to_owned).to_vec();
            let (whole, made) = (ours(flowdump, &asked("flowfile.parquet")), ours(flowdump, &asked(name)));
            let [whole, made] = [whole, made].map(|output| flows_of(&Ok(output.stdout)));
            let told = flows_of(&theirs(nfdump, &asked(name)))?;
            match (whole?, made?) {
                (whole, made) if whole == made && made == told => Ok(()),
                (whole, made) => Err(format!("{made} of {whole} flows, nfdump {told}")),
            }
        }
        Same(shape) => {
            let mut args = nfdump.args(line);
            // Debian's is built for firewalls, whose events it prints where nothing is said.
            if !args.iter().any(|arg| ["-o", "-s", "-A"].contains(&arg.as_str())) {
                args.splice(0..0, ["-o", "line"].map(str::to_owned));
            }
            let told = theirs(nfdump, &args)?;
            let [told, found] = [&told, &found.stdout].map(|text| normal::read(text, shape, None));
            match found.rows.is_empty() {
                true => Err("no rows".to_owned()),
                false => normal::compare(&told, &found),
            }
        }
        Instead(_) => Ok(()),
    }
}

/// What is wrong with the examples.
pub(crate) fn failed(stores: &Stores) -> Vec<String> {
    let files = files(stores);
    let failed = |(line, expect): &(&str, Expect)| {
        let wrong = check(line, *expect, &files).err()?;
        Some(format!("{line}: {}", wrong.chars().take(2_000).collect::<String>()))
    };
    EXAMPLES.iter().filter_map(failed).collect()
}

#[test]
fn words_are_as_typed() {
    assert_eq!(words("nfdump -o 'fmt:%ts %sa' -q"), ["nfdump", "-o", "fmt:%ts %sa", "-q"]);
    assert_eq!(words("nfdump 'payload regex 'GET|POST''"), ["nfdump", "payload regex 'GET|POST'"]);
    assert_eq!(words("nfdump -f x 'a b'"), ["nfdump", "-f", "x", "a b"]);
}
