//! What was typed after `flowdump import`, which files that names, and what is said of each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use flow_common::layout::{Hierarchy, NFDUMP_HIERARCHIES};
use flow_common::limits::{
    DIRECTORY_DEPTH_MAX, NFCAPD_DAMAGE_SHOWN_MAX, OUTPUT_BUFFER_BYTES, SLOT_SECS_DEFAULT, SLOT_SECS_MAX,
};

use super::nfcapd::{Reader, Record, Statistics, records};
use super::slots::{Origin, Outcome, Slots, Tree};
use super::store::{Connections, Store, received};
use super::tables::Tables;
use crate::interrupt;
use crate::message::{DONE, Failure, PARTIAL, reason, say};

/// Stores the flows of nfcapd's files in files like those flowcapd writes.
#[derive(Debug, Parser)]
#[command(
    name = "flowdump import",
    max_term_width = 100,
    override_usage = "flowdump import [OPTIONS] FILE|DIR… -w DIR",
    after_help = "\
Files are those of nfdump 1.7 (nfcapd, sfcapd, nfpcapd, nfdump -w), whatever they are compressed
with. Those of nfdump 1.6 are rewritten by `nfdump -r FILE -w NEW` of nfdump 1.7 first. A flow goes
to the file of the slot it was received in. Nothing is overwritten, and what was imported before
is left out, so an import that was interrupted can be started again.

Counters that nfcapd multiplied by a sampling rate are stored as they are and not multiplied again.
Names of interfaces, VRFs and applications and the rates exporters told go to the tables below
`.flowcap`; a collector that runs on the same directory knows nothing of them and writes its own.
Exit status: 0 done, 1 failed, 2 usage, 3 some files or blocks could not be read, 130 Ctrl-C
"
)]
pub(crate) struct Asked {
    /// Files, or directories with every `nfcapd.*` below them
    #[arg(value_name = "FILE|DIR")]
    sources: Vec<PathBuf>,

    /// Directory to store flows in
    #[arg(short = 'w', long = "write", value_name = "DIR")]
    write: Option<PathBuf>,

    /// Length of a slot, and so of a file, in seconds; slots are aligned to the epoch [default: 300]
    #[arg(short = 't', long = "slot", value_name = "SECS")]
    slot_secs: Option<String>,

    /// Put files into nfdump's directories, as `flowcapd -S` does: 0 to 8
    /// [default: date=%Y-%m-%d/hour=%H]
    #[arg(short = 'S', long = "hierarchy", value_name = "N")]
    hierarchy: Option<String>,

    /// Name of the collector to store [default: the one in each file]
    #[arg(short = 'I', long = "ident", value_name = "IDENT")]
    ident: Option<String>,

    /// Nothing about files that are sound
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// What became of all files.
#[derive(Debug, Default)]
struct Report {
    files: u64,
    flows: u64,
    written: u64,
    known: u64,
    /// Files that agree with their statistics, and those that have any.
    agreeing: u64,
    with_statistics: u64,
    unstored: BTreeMap<&'static str, u64>,
    is_partial: bool,
    connections: Connections,
    tables: Tables,
}

/// Imports files and returns the exit code.
pub(crate) fn import(asked: Asked, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<u8, Failure> {
    let tree = tree(&asked)?;
    let mut sources = Vec::new();
    let mut report = Report::default();
    for source in &asked.sources {
        let found = sources_of(source).map_err(|error| Failure::Failed {
            message: format!("can't read `{}`: {}", source.display(), reason(&error)),
            hint: None,
        })?;
        if found.is_empty() {
            say(stderr, "warning", &format!("no `nfcapd.*` in `{}`", source.display()));
        }
        sources.extend(found);
    }
    for path in &sources {
        interrupt::check()?;
        match one(path, &asked, &tree, &mut report, stderr)? {
            Some(line) if !asked.quiet => writeln!(stdout, "{}: {line}", path.display())?,
            _ => {}
        }
    }
    let written = std::mem::take(&mut report.tables).write(&tree.root);
    for said in written.map_err(|error| Failure::Failed { message: error.to_string(), hint: None })? {
        report.is_partial = true;
        say(stderr, "error", &said);
    }
    if !asked.quiet {
        writeln!(stdout, "{}", report.sum(&tree.root))?;
    }
    if !report.unstored.is_empty() {
        let groups = report.unstored.iter().map(|(what, n)| format!("{what} of {n}"));
        let groups = groups.collect::<Vec<_>>().join(", ");
        say(stderr, "note", &format!("no column is for what some flows have, and it is left out: {groups}"));
    }
    Ok(if report.is_partial { PARTIAL } else { DONE })
}

impl Report {
    fn sum(&self, root: &Path) -> String {
        let Self { files, flows, written, known, agreeing, with_statistics, .. } = self;
        let new = plural(*written, "new file");
        let mut sum = format!(
            "{} with {}: {new} below `{}`",
            plural(*files, "file"),
            plural(*flows, "flow"),
            root.display()
        );
        if *known > 0 {
            sum += &format!(", {} imported before", plural(*known, "flow"));
        }
        sum + &format!("; {agreeing} of {} with statistics agree", plural(*with_statistics, "file"))
    }
}

/// `1 file`, `2 files`.
fn plural(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn tree(asked: &Asked) -> Result<Tree, Failure> {
    const HINT: &str = "`flowdump import /var/nfcapd -w flows` imports every `nfcapd.*` below a directory";
    let Some(root) = asked.write.clone() else {
        return Err(Failure::usage_hint("`-w DIR` is missing: where to store flows", HINT));
    };
    if asked.sources.is_empty() {
        return Err(Failure::usage_hint("nothing to import", HINT));
    }
    let slot_secs = match asked.slot_secs.as_deref() {
        None => SLOT_SECS_DEFAULT,
        Some(text) => {
            text.parse().ok().filter(|secs| (1..=SLOT_SECS_MAX).contains(secs)).ok_or_else(|| {
                Failure::usage(format!("`-t {text}` is no slot of 1 to {SLOT_SECS_MAX} seconds"))
            })?
        }
    };
    let last = NFDUMP_HIERARCHIES.len() as u8 - 1;
    let hierarchy = match asked.hierarchy.as_deref() {
        None => Hierarchy::Partitions,
        Some(text) => text
            .parse()
            .ok()
            .filter(|&n| n <= last)
            .map(Hierarchy::Nfdump)
            .ok_or_else(|| Failure::usage(format!("`-S {text}` is no hierarchy of 0 to {last}")))?,
    };
    Ok(Tree { root, hierarchy, slot_secs })
}

/// A file as it is, or every file of nfcapd below a directory, by name.
fn sources_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut pending = vec![(path.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < DIRECTORY_DEPTH_MAX {
                pending.push((entry.path(), depth + 1));
            } else if !kind.is_dir() && is_source(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file is called as nfcapd calls those that it does not write to any more.
fn is_source(name: &str) -> bool {
    name.strip_prefix("nfcapd.").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Imports one file; what there is to say of it if it is sound.
fn one(
    path: &Path,
    asked: &Asked,
    tree: &Tree,
    report: &mut Report,
    stderr: &mut dyn Write,
) -> Result<Option<String>, Failure> {
    report.files += 1;
    let mut failed = |reason: String, stderr: &mut dyn Write| {
        report.is_partial = true;
        say(stderr, "error", &format!("can't read `{}`: {reason}", path.display()));
    };
    let identity = match identity(path) {
        Ok(identity) => identity,
        Err(error) => {
            failed(reason(&error), stderr);
            return Ok(None);
        }
    };
    let file = File::open(path).map(|file| BufReader::with_capacity(OUTPUT_BUFFER_BYTES, file));
    let reader = match file.map_err(Into::into).and_then(Reader::open) {
        Ok(reader) => reader,
        Err(error) => {
            failed(error.to_string(), stderr);
            return Ok(None);
        }
    };
    let ident = asked.ident.clone().unwrap_or_else(|| reader.ident().to_owned());
    let origin = Origin { identity, ident };
    let (statistics, is_closed, created_secs) =
        (reader.statistics(), reader.is_closed(), reader.created_secs());
    let (store, outcome, damages) = blocks(reader, tree, &origin, &mut report.connections)
        .map_err(|error| Failure::Failed { message: error.to_string(), hint: None })?;
    interrupt::check()?;
    for damage in damages.iter().take(NFCAPD_DAMAGE_SHOWN_MAX) {
        failed(damage.clone(), stderr);
    }
    if damages.len() > NFCAPD_DAMAGE_SHOWN_MAX {
        failed(format!("{} blocks more", damages.len() - NFCAPD_DAMAGE_SHOWN_MAX), stderr);
    }
    if store.malformed > 0 {
        failed(format!("fields of {} flows end too early", store.malformed), stderr);
    }
    report.tables.add(&store, created_secs);
    Ok(Some(report.add(path, (statistics, is_closed), &store, &outcome, stderr)))
}

impl Report {
    /// Adds a file; what there is to say of it.
    fn add(
        &mut self,
        path: &Path,
        (statistics, is_closed): (Option<Statistics>, bool),
        store: &Store,
        outcome: &Outcome,
        stderr: &mut dyn Write,
    ) -> String {
        let counted = store.counted;
        self.flows += counted.records;
        self.written += outcome.written.len() as u64;
        self.known += outcome.known_rows;
        for (what, n) in &store.unstored {
            *self.unstored.entry(what).or_default() += n;
        }
        let mut line = plural(counted.records, "flow");
        if outcome.known_rows > 0 {
            line += &format!(", {} of them imported before", outcome.known_rows);
        }
        let Some(statistics) = statistics else {
            let why = if is_closed { "it has no statistics" } else { "nfcapd did not end it" };
            return line + &format!("; {why}, so nothing tells whether these are all");
        };
        self.with_statistics += 1;
        if counted.agrees(&statistics) {
            self.agreeing += 1;
            return line + ", as its statistics say";
        }
        let Statistics { flows, packets, bytes } = statistics;
        let text = format!(
            "`{}` should have {flows} flows, {packets} packets and {bytes} bytes by its statistics; \
             it has {}, {} and {}",
            path.display(),
            counted.records,
            counted.packets,
            counted.bytes
        );
        say(stderr, "warning", &text);
        line + ", not what its statistics say"
    }
}

/// Stores the records of a file, and says what of it is damaged.
fn blocks<R: Read + std::io::Seek>(
    mut reader: Reader<R>,
    tree: &Tree,
    origin: &Origin,
    connections: &mut Connections,
) -> Result<(Store, Outcome, Vec<String>), crate::write::WriteError> {
    let (mut store, mut slots) = (Store::default(), Slots::new(tree));
    let mut damages = Vec::new();
    let created_secs = reader.created_secs();
    while let Some(block) = reader.next_block() {
        let block = match block {
            Ok(block) => block,
            Err(damage) => {
                damages.push(damage.to_string());
                continue;
            }
        };
        for record in records(&block) {
            match record {
                Ok(Record::Flow(flow)) => {
                    let rows = slots.rows(received(&flow, created_secs), origin)?;
                    store.flow(&flow, created_secs, connections, rows);
                }
                Ok(record) => store.told(&record),
                Err(malformed) => damages.push(malformed.to_string()),
            }
            if interrupt::is_asked() {
                // What is not published goes.
                return Ok((store, Outcome::default(), damages));
            }
        }
    }
    let outcome = slots.publish(origin, store.exporters_counted())?;
    Ok((store, outcome, damages))
}

/// The same for the same octets, whatever the file is called and wherever it lies.
fn identity(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Fnv::default();
    let mut octets = vec![0; OUTPUT_BUFFER_BYTES];
    let mut length = 0;
    loop {
        let n = file.read(&mut octets)?;
        if n == 0 {
            return Ok(format!("nfcapd {length} {:016x}", hash.finish()));
        }
        length += n as u64;
        hash.write(octets.get(..n).unwrap_or_default());
    }
}

/// FNV-1a of 64 bits: the same in every release.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
