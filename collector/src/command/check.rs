//! `flowcapd check`: whether the configuration would do, and what it comes to.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flow_common::limits::{Bound, bounds};
use nix::unistd::{AccessFlags, access};
use socket2::Type;

use super::Failure;
use crate::cli::Args;
use crate::compact::Compaction;
use crate::config::keys::{Key, Shown, TABLES};
use crate::config::{Config, Source, quantity};
use crate::retention::Rules;
use crate::socket;
use crate::stream::tls::Identity;
use crate::trees::Others;

/// Something that would keep a collector from its work.
struct Problem {
    message: String,
    hint: String,
}

/// What a configuration comes to, as lines to read.
#[derive(Default)]
struct Report {
    text: String,
    problems: Vec<Problem>,
}

/// Column where values begin.
const VALUE_COLUMN: usize = 14;

/// What the configuration comes to; and what is wrong with it, all of it.
pub(super) fn check(args: Args) -> Result<(String, Result<(), Failure>), Failure> {
    let (verbosity, file) = (args.verbosity, args.config.clone());
    let config = Config::try_from(args)?;
    let mut report = Report::default();
    let file = file.map_or_else(|| "flags and defaults".to_owned(), |file| file.display().to_string());
    report.line("configuration", &file);
    report.source(&config);
    report.streams(&config);
    report.trees(&config);
    report.compaction(&config);
    report.settings(&config);
    report.limits(&config, verbosity > 0);
    let result = report.problems.split_last().map_or(Ok(()), |(last, before)| {
        let before = before.iter().map(|one| format!("{}\nhint: {}\nerror: ", one.message, one.hint));
        let message = before.collect::<String>() + &last.message;
        Err(Failure::new(2, message, last.hint.clone()))
    });
    Ok((report.text, result))
}

impl Report {
    fn line(&mut self, name: &str, value: &str) {
        self.text += format!("{name:VALUE_COLUMN$} {value}").trim_end();
        self.text.push('\n');
    }

    fn problem(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem { message: message.into(), hint: hint.into() });
    }

    fn source(&mut self, config: &Config) {
        match &config.source {
            Source::Capture(path) => {
                self.line("reads", &path.display().to_string());
                if let Err(error) = fs::File::open(path) {
                    let message = format!("cannot read `{}`: {error}", path.display());
                    self.problem(message, "`-f FILE` names a capture");
                }
            }
            Source::Listen(addresses) => self.addresses("listens on", "UDP", addresses, Type::DGRAM),
        }
    }

    /// Addresses, those first that are free.
    fn addresses(&mut self, name: &str, protocol: &str, addresses: &[SocketAddr], kind: Type) {
        if addresses.is_empty() {
            return;
        }
        let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        self.line(name, &format!("{protocol} {}", list.join(", ")));
        let mut in_use = Vec::new();
        for &addr in addresses {
            // Bound for this instant only.
            let Err(error) = socket::bind(addr, kind) else { continue };
            match error.source.raw_os_error() {
                Some(libc::EADDRINUSE) => in_use.push(addr.to_string()),
                Some(libc::EACCES) => {
                    self.problem(error.to_string(), "ports below 1024 need privileges; the service has them");
                }
                _ => self.problem(error.to_string(), "the address must be one of this machine"),
            }
        }
        if !in_use.is_empty() {
            self.line("", &format!("in use now, by flowcapd itself if it runs: {}", in_use.join(", ")));
        }
    }

    fn streams(&mut self, config: &Config) {
        let streams = &config.streams;
        self.addresses("accepts", "TCP", &streams.tcp, Type::STREAM);
        self.addresses("accepts", "TLS", &streams.tls, Type::STREAM);
        if let Some(identity) = streams.identity.clone() {
            self.line("", &format!("certificate {}", identity.certificate.display()));
            if let Err(error) = Identity::load(identity) {
                self.problem(error.to_string(), error.hint());
            }
        }
    }

    fn trees(&mut self, config: &Config) {
        let root = config.root.display();
        let writes = match config.trees.others {
            Others::Home => format!("{root}, a file every {} s, ident `{}`", config.slot_secs, config.ident),
            Others::Apart => format!("a directory for each exporter below {root}"),
            Others::Rejected => "the trees of its sources only".to_owned(),
        };
        self.line("writes to", &writes);
        self.writable(&config.root);
        for source in &config.trees.sources {
            let prefixes: Vec<_> = source.prefixes.iter().map(ToString::to_string).collect();
            let (tree, root) = (&source.tree, source.tree.root.display());
            self.line("", &format!("{root}, what {} sends, ident `{}`", prefixes.join(", "), tree.ident));
            self.writable(&tree.root);
        }
        let keeps = kept(&config.retention.rules).unwrap_or_else(|| "everything, for ever".to_owned());
        self.line("keeps", &keeps);
        for tree in &config.retention.trees {
            let rules = kept(&tree.rules).unwrap_or_else(|| "everything, for ever".to_owned());
            self.line("", &format!("{}: {rules}", tree.path.display()));
            if !tree.path.is_dir() {
                self.line("", "  which is not there yet");
            }
        }
    }

    fn compaction(&mut self, config: &Config) {
        let Compaction { is_enabled, after_secs } = config.compaction;
        let after = quantity::age_text(after_secs);
        let compacts = match is_enabled {
            _ if !config.hierarchy.is_hourly() => {
                "nothing: its directories are of more than an hour".to_owned()
            }
            true => format!("the files of an hour that has been over for {after} into one"),
            false => "nothing by itself; `flowcapd compact` does".to_owned(),
        };
        self.line("compacts", &compacts);
    }

    /// Looks whether a directory can be written, or made, without making it.
    fn writable(&mut self, directory: &Path) {
        let there = there(directory);
        let is_dir = there.is_dir();
        let can_write = access(&there, AccessFlags::W_OK | AccessFlags::X_OK);
        let hint = "choose a directory you may write with `-w DIR`, or check as the user flowcapd runs as";
        let what = if there == directory { "write to" } else { "create" };
        let directory = directory.display();
        if !is_dir {
            self.problem(format!("cannot {what} `{directory}`: `{}` is no directory", there.display()), hint);
        } else if let Err(error) = can_write {
            self.problem(format!("cannot {what} `{directory}`: {}", error.desc()), hint);
        }
    }

    fn settings(&mut self, config: &Config) {
        let allow: Vec<_> = config.allow.iter().map(ToString::to_string).collect();
        let list = allow.join(", ");
        self.line("takes from", if allow.is_empty() { "everyone" } else { &list });
        if !config.elements.is_empty() {
            let names: Vec<_> = config.elements.iter().map(|column| column.name.as_str()).collect();
            self.line("columns", &format!("beyond the usual: {}", names.join(", ")));
        }
    }

    /// What is held at most: all that can be set, and, where asked for, all that can't.
    fn limits(&mut self, config: &Config, is_all: bool) {
        let keys = || TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (*table, key)));
        self.text += "\nlimits\n";
        for (table, key) in keys().filter(|(_, key)| !key.bound.is_empty()) {
            let Some(bound) = bounds().find(|bound| bound.name == key.bound) else { continue };
            let name = if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) };
            let value = match (key.show)(config) {
                Shown::Value(value) => value,
                _ => bound.value.to_string(),
            };
            self.limit(&name, &value, bound, is_all);
        }
        if !is_all {
            self.text += "`flowcapd check -v` lists those that can't be set, too, and the reasons\n";
            return;
        }
        self.text += "\nlimits that can't be set\n";
        let is_key = |bound: &Bound| keys().any(|(_, Key { bound: of_key, .. })| *of_key == bound.name);
        for bound in bounds().filter(|bound| !is_key(bound)) {
            self.limit(bound.name, &bound.value.to_string(), bound, true);
        }
    }

    fn limit(&mut self, name: &str, value: &str, bound: &Bound, is_all: bool) {
        let text = bound.text();
        // What it is; the reason follows a colon or a period.
        let end = if is_all { None } else { text.find([':', '.', ';']) };
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or(&text);
        self.text += &format!("  {name:29} {:>13}  {text}\n", in_groups(value));
    }
}

/// What rules leave, in words.
fn kept(rules: &Rules) -> Option<String> {
    let shown = [
        ("newer than", rules.max_age_secs.map(quantity::age_text)),
        ("up to", rules.max_bytes.map(quantity::size_text)),
        ("while free is", rules.min_free.map(quantity::free_text)),
    ];
    let shown: Vec<_> =
        shown.into_iter().filter_map(|(word, value)| value.map(|value| format!("{word} {value}"))).collect();
    (!shown.is_empty()).then(|| format!("files {}", shown.join(", ")))
}

/// The directory, or the nearest above it that is there.
fn there(directory: &Path) -> PathBuf {
    let mut there = directory;
    while !there.exists() {
        match there.parent() {
            Some(parent) if parent.as_os_str().is_empty() => return PathBuf::from("."),
            Some(parent) => there = parent,
            None => break,
        }
    }
    there.to_owned()
}

/// Digits in groups of three.
fn in_groups(number: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in number.chars().enumerate() {
        if index > 0 && (number.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
