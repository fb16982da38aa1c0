//! Files of a question, opened one after another and cut into row groups.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::footer::{Counts, Footer, Totals};
use flow_common::layout::Slot;
use flow_common::limits::FILES_HELD_MAX;

use crate::anonymize;
use crate::catalog::{Found, Source};
use crate::columns::{ColumnRef, Columns};
use crate::completeness::Losses;
use crate::filter::Predicate;
use crate::flow::{Counters, TIME_COLUMNS};
use crate::interrupt;
use crate::live::Progress;
use crate::message::say;
use crate::names::Names;
use crate::request::Request;
use crate::scaling::Scaling;
use crate::scan::{BoundFile, Depth, FlowFile, Plan, ReadError, Scan, Sieve};
use crate::tables::Tables;

/// What a question asks of each file.
#[derive(Debug, Clone, Default)]
pub(super) struct Wants {
    pub(super) columns: BTreeSet<ColumnRef>,
    /// All columns beyond the table, too.
    pub(super) has_extra: bool,
    /// `received` is wanted only of flows without a time.
    pub(super) has_fallback_time: bool,
    pub(super) has_names: bool,
}

/// A file that is open, and what is read of it.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    pub(super) file: BoundFile,
    pub(super) names: Option<Arc<Names>>,
    plan: Plan,
    /// Its place among the files.
    number: usize,
    /// Row groups that may hold a match.
    groups: Vec<usize>,
}

impl OpenFile {
    /// Its totals, where they are those of the rows asked for, and as asked for.
    pub(super) fn whole_totals(&self) -> Option<&Totals> {
        let totals = &self.file.footer.as_ref()?.totals;
        let is_whole = self.plan.predicate.is_any() && self.groups.len() == self.file.n_groups();
        let is_scaled =
            self.groups.iter().any(|&group| self.file.plan_for(group, &self.plan).scaling.is_some());
        (is_whole && !is_scaled).then_some(totals)
    }
}

/// One row group to read.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) file: Arc<OpenFile>,
    group: usize,
    /// Rows of the row groups before it.
    pub(super) position: u64,
}

impl Task {
    /// How many rows it has.
    pub(super) fn rows(&self) -> u64 {
        self.file.file.group_rows(self.group)
    }

    /// When the first of its flows began and the last ended, if it tells, µs.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        self.file.file.group_span(self.group)
    }

    /// Whether all its flows began at `first` or later and ended at `last` or before.
    pub(super) fn lies_within(&self, first: i64, last: i64) -> bool {
        self.span().is_some_and(|(begin, end)| first <= begin && end <= last)
    }

    /// Its matching rows, without their times if these are not wanted, and the compressed
    /// octets of all its columns: what is spared depends on who came first.
    pub(super) fn scan(&self, has_times: bool) -> (Result<Scan, ReadError>, u64) {
        let OpenFile { file, plan, .. } = &*self.file;
        let whole = file.plan_for(self.group, plan);
        let compressed_bytes = file.compressed_bytes(self.group, &whole);
        if has_times {
            return (file.scan(self.group, &whole), compressed_bytes);
        }
        let mut asked = plan.clone();
        TIME_COLUMNS.into_iter().for_each(|id| _ = asked.columns.remove(&id.into()));
        // Scaling may look rates up by a time, and adds what it needs.
        (file.scan(self.group, &file.plan_for(self.group, &asked)), compressed_bytes)
    }
}

/// What one thread counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) matched: Counters,
    pub(super) passed: u64,
    /// The smallest and the largest rate counters were multiplied by.
    pub(super) rates: Option<(i64, i64)>,
}

impl Tally {
    pub(super) fn add_rates(&mut self, rates: Option<(i64, i64)>) {
        let Some((min, max)) = rates else { return };
        let (low, high) = self.rates.unwrap_or((min, max));
        self.rates = Some((low.min(min), high.max(max)));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.matched.add(&other.matched);
        self.passed = self.passed.saturating_add(other.passed);
        self.add_rates(other.rates);
    }
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Read {
    /// Compressed octets of columns and row groups.
    pub(super) bytes: u64,
    /// Row groups that could not be read.
    pub(super) blocks_skipped: u64,
}

/// Opens files, notes those that can't be read, and counts.
pub(super) struct Reader<'a> {
    pub(super) request: &'a Request,
    pub(super) progress: &'a Progress,
    /// Columns beyond the table, those of the request and of files opened since.
    columns: Columns,
    wants: Wants,
    predicate: Arc<Predicate>,
    files: std::vec::IntoIter<Found>,
    /// Files to read again, if there is to be a second pass.
    held: Option<Vec<Arc<OpenFile>>>,
    current: Option<(Arc<OpenFile>, usize)>,
    position: u64,
    n_opened: usize,
    /// What could not be read: the place of the file, its path and why.
    errors: Vec<(usize, PathBuf, String)>,
    is_partial: bool,
    pub(super) processed: u64,
    pub(super) span: (Option<i64>, Option<i64>),
    pub(super) read: Read,
    losses: Losses,
    /// Side tables of the trees read.
    pub(super) tables: Tables,
}

impl<'a> Reader<'a> {
    pub(super) fn new(request: &'a Request, files: Vec<Found>, wants: Wants, progress: &'a Progress) -> Self {
        Self {
            request,
            progress,
            columns: request.columns.clone(),
            wants,
            predicate: Arc::clone(&request.predicate),
            files: files.into_iter(),
            held: None,
            current: None,
            position: 0,
            n_opened: 0,
            errors: Vec::new(),
            is_partial: false,
            processed: 0,
            span: (None, None),
            read: Read::default(),
            losses: Losses::default(),
            tables: Tables::default(),
        }
    }

    /// Makes what the filter needs part of the answer, and every row.
    pub(super) fn read_all(&mut self) {
        self.request.predicate.columns(&mut self.wants.columns);
        self.predicate = Arc::new(Predicate::Constant(true));
    }

    /// Opens all files and holds them, so that two passes read the same; false where they
    /// are too many for that.
    pub(super) fn hold(&mut self) -> bool {
        if self.files.len() > FILES_HELD_MAX {
            return false;
        }
        let mut held = Vec::new();
        while let Some(file) = self.next_file() {
            held.push(file);
        }
        self.held = Some(held);
        true
    }

    /// Rows of the row groups of files held that may hold a match.
    pub(super) fn held_rows(&self) -> u64 {
        let rows = self
            .held
            .iter()
            .flatten()
            .flat_map(|file| file.groups.iter().map(|&group| file.file.group_rows(group)));
        rows.fold(0, u64::saturating_add)
    }

    /// The files held, to be read with other columns and through a sieve.
    pub(super) fn held_with(
        &self,
        columns: &BTreeSet<ColumnRef>,
        sieve: Option<&Arc<dyn Sieve>>,
    ) -> Vec<Arc<OpenFile>> {
        self.held.iter().flatten().map(|file| Arc::new(file.with(columns, sieve))).collect()
    }

    /// What the footers of the files held say of all their rows; `None` where they don't, or
    /// not all rows are asked for as they are.
    pub(super) fn held_totals(&self) -> Option<Tally> {
        let mut sum = Totals::default();
        let mut tally = Tally::default();
        for file in self.held.iter().flatten() {
            sum.add(file.whole_totals()?);
            tally.passed = tally.passed.saturating_add(file.file.rows());
        }
        // The times of events are among those of the totals.
        if sum.events > 0 {
            return None;
        }
        let classes = [sum.tcp, sum.udp, sum.icmp, sum.other];
        let add =
            |of: fn(&Counts) -> u64| classes.iter().fold(0, |sum: u64, class| sum.saturating_add(of(class)));
        tally.matched = Counters {
            flows: add(|class| class.flows),
            packets: add(|class| class.packets),
            bytes: add(|class| class.bytes),
            first: sum.first,
            last: sum.last,
            ..Counters::default()
        };
        Some(tally)
    }

    /// The next row group, in the order of files.
    pub(super) fn next_task(&mut self) -> Option<Task> {
        loop {
            if let Some((file, at)) = &mut self.current {
                if let Some(&group) = file.groups.get(*at) {
                    *at += 1;
                    let (file, position) = (Arc::clone(file), self.position);
                    self.position = position.saturating_add(file.file.group_rows(group));
                    return Some(Task { file, group, position });
                }
                self.current = None;
            }
            let file = self.next_file()?;
            self.current = Some((file, 0));
        }
    }

    fn next_file(&mut self) -> Option<Arc<OpenFile>> {
        loop {
            let mut found = self.next_found()?;
            let Some(file) = self.open(&mut found, Depth::Rows) else { continue };
            let path = found.path;
            let Wants { columns, has_extra, has_fallback_time, .. } = self.wants.clone();
            let predicate = file.asked(&self.predicate);
            let anonymizer = self.request.anonymizer.clone();
            let mut plan = Plan {
                columns,
                has_extra,
                has_fallback_time,
                predicate,
                scaling: None,
                anonymizer,
                sieve: None,
            };
            let file = match file.bind(&mut self.columns, &plan) {
                Ok(file) => file,
                Err(error) => {
                    self.cant_read(&path, &error);
                    continue;
                }
            };
            let names = self.wants.has_names.then(|| self.tables.names(&path));
            plan.scaling = self.request.is_scaled.then(|| Scaling(self.tables.rates(&path)));
            self.note_unreadable();
            let groups = file.row_groups(&plan);
            let chosen = groups.iter().fold(0, |sum: u64, &group| sum.saturating_add(file.group_rows(group)));
            self.progress.add_rows(file.rows().saturating_sub(chosen));
            return Some(Arc::new(OpenFile { path, file, names, plan, number: self.n_opened, groups }));
        }
    }

    /// Opens a file and counts it.
    pub(super) fn open(&mut self, found: &mut Found, depth: Depth) -> Option<FlowFile> {
        self.n_opened += 1;
        match found.open(depth) {
            Ok(file) => {
                self.processed = self.processed.saturating_add(file.rows());
                self.progress.open_file(file.rows());
                let (first, last) = file.span();
                self.span.0 = self.span.0.into_iter().chain(first).min();
                self.span.1 = self.span.1.into_iter().chain(last).max();
                if let Some(footer) = file.footer.as_ref().filter(|footer| self.is_in_window(footer)) {
                    self.losses.add(footer, self.request.predicate.window());
                }
                Some(file)
            }
            // Retired since the directories were listed: it is not there.
            Err(error) if error.is_absence() && !found.is_part() && !self.is_named(&found.path) => None,
            Err(error) => {
                self.cant_read(&found.path, &error);
                None
            }
        }
    }

    /// Whether a file may have, or lack, flows of the window asked for.
    fn is_in_window(&self, footer: &Footer) -> bool {
        let Some((start, last)) = self.request.predicate.window() else { return true };
        let Slot { start_secs, end_secs } = footer.slot;
        let micros = |secs: i64| secs.saturating_mul(1_000_000);
        let begin = footer.totals.first.unwrap_or(i64::MAX).min(micros(start_secs));
        let end = footer.totals.last.unwrap_or(i64::MIN).max(micros(end_secs));
        begin <= last && start < end
    }

    /// What is known to be missing so far.
    pub(super) fn losses(&self) -> Losses {
        let by = self.request.anonymizer.as_deref();
        let told = self.losses.with_addresses(|addr| anonymize::exporter(by, addr));
        Losses { unreadable_files: self.errors.len() as u64, ..told }
    }

    /// The next file, without what is read of it.
    pub(super) fn next_found(&mut self) -> Option<Found> {
        if interrupt::is_asked() { None } else { self.files.next() }
    }

    /// Whether the request is for this file and no other.
    fn is_named(&self, path: &Path) -> bool {
        let is_it = |source: &Source| matches!(source, Source::Path(named) if named == path);
        match &self.request.source {
            Source::Siblings(all) => all.iter().any(is_it),
            source => is_it(source),
        }
    }

    pub(super) fn cant_read(&mut self, path: &Path, error: &ReadError) {
        self.note(self.n_opened, path, error.to_string());
    }

    fn note(&mut self, place: usize, path: &Path, error: String) {
        self.is_partial = true;
        // Of what is wrong with one file the first is said.
        if !self.errors.iter().any(|known| known.1 == path) {
            self.errors.push((place, path.to_owned(), error));
        }
    }

    /// A row group could not be read; the others may be.
    pub(super) fn cant_read_group(&mut self, task: &Task, error: &ReadError) {
        self.read.blocks_skipped += 1;
        self.note(task.file.number, &task.file.path, error.to_string());
    }

    /// Side tables that can't be read: the answer is without them.
    pub(super) fn note_unreadable(&mut self) {
        for (path, error) in std::mem::take(&mut self.tables.unreadable) {
            self.cant_read(&path, &error);
        }
    }

    /// Says what could not be read, in the order of files; whether there was anything.
    pub(super) fn say_errors(&mut self, stderr: &mut dyn Write) -> bool {
        self.errors.sort_by_key(|error| error.0);
        for (_, path, error) in self.errors.drain(..) {
            say(stderr, "error", &format!("can't read `{}`: {error}", path.display()));
        }
        for path in self.request.places.iter().flat_map(|places| places.damaged()) {
            self.is_partial = true;
            let path = path.display();
            say(stderr, "error", &format!("`{path}` is damaged: some addresses are taken for unknown"));
        }
        self.is_partial
    }
}

impl OpenFile {
    fn with(&self, columns: &BTreeSet<ColumnRef>, sieve: Option<&Arc<dyn Sieve>>) -> Self {
        Self {
            path: self.path.clone(),
            file: self.file.clone(),
            names: self.names.clone(),
            plan: Plan { columns: columns.clone(), sieve: sieve.cloned(), ..self.plan.clone() },
            number: self.number,
            groups: self.groups.clone(),
        }
    }

    /// Its row groups, `position` rows behind the beginning.
    pub(super) fn tasks(self: Arc<Self>, position: &mut u64) -> Vec<Task> {
        let groups = self.groups.clone();
        let task = |group| {
            let task = Task { file: Arc::clone(&self), group, position: *position };
            *position = position.saturating_add(self.file.group_rows(group));
            task
        };
        groups.into_iter().map(task).collect()
    }
}
