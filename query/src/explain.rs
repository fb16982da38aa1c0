//! What a filter means, and what it spares reading. Files are opened, no row is read.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use flow_common::column::Kind;
use flow_common::time::Timestamp;

use crate::catalog::{self, Listing};
use crate::columns::{ColumnRef, Columns};
use crate::filter::{Predicate, Test};
use crate::interrupt;
use crate::message::{DONE, Failure};
use crate::request::Request;
use crate::scaling::{SCALED_COLUMNS, Scaling};
use crate::scan::{Depth, Plan, ReadError};
use crate::tables::Tables;

/// Says what the filter of `request` means and what it spares reading.
pub(crate) fn explain(request: &Request, stdout: &mut dyn Write) -> Result<u8, Failure> {
    let mut read = std::collections::BTreeSet::new();
    request.predicate.columns(&mut read);
    let names: Vec<String> = read.iter().map(|column| name(*column, &request.columns)).collect();
    let mut text = String::from("predicate, and what rules row groups out before rows are decoded:\n");
    tree(&request.predicate, 1, true, request, &mut text);
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let _ = writeln!(text, "columns of the filter: {names}");
    if let Some(filter) = &request.post_filter {
        let _ = writeln!(text, "filter of groups: {filter}");
    }
    stdout.write_all(text.as_bytes())?;
    let sums = sums(request)?;
    interrupt::check()?;
    sums.write(stdout)?;
    Ok(DONE)
}

/// One line a test, those of `and`, `or` and `not` below them.
fn tree(predicate: &Predicate, depth: usize, is_positive: bool, request: &Request, text: &mut String) {
    let margin = "  ".repeat(depth);
    let mut below = |word: &str, all: &[Predicate], is_positive: bool| {
        let _ = writeln!(text, "{margin}{word}");
        all.iter().for_each(|one| tree(one, depth + 1, is_positive, request, text));
    };
    match predicate {
        Predicate::Not(inner) => below("not", std::slice::from_ref(inner), false),
        Predicate::And(all) => below("and", all, is_positive),
        Predicate::Or(all) => below("or", all, is_positive),
        Predicate::Constant(value) => {
            let _ = writeln!(text, "{margin}{value}");
        }
        Predicate::Test(test) => {
            let line = format!("{margin}{}", spelled(test, &request.columns));
            let means = if is_positive { means(test, request) } else { Vec::new() };
            let means = if means.is_empty() { "nothing".to_owned() } else { means.join(", ") };
            let _ = writeln!(text, "{line:<56}  {means}");
        }
    }
}

/// A test with names of columns and with times as people read them.
fn spelled(test: &Test, columns: &Columns) -> String {
    let time = |micros: i64| match Timestamp(micros).to_utc() {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string(),
        None => micros.to_string(),
    };
    match test {
        Test::Int { column, comparator, value } if columns.kind(*column) == Kind::Timestamp => {
            format!("({} {} {})", comparator.symbol(), name(*column, columns), time(*value))
        }
        Test::Within { start, last } => format!("(within {} {})", time(*start), time(*last)),
        test => match test.column() {
            Some(column) => test.to_string().replacen(&column.to_string(), &name(column, columns), 1),
            None => test.to_string(),
        },
    }
}

fn name(column: ColumnRef, columns: &Columns) -> String {
    columns.definition(column).map_or_else(|| column.to_string(), |definition| definition.name.clone())
}

/// What may prove that no row of a row group passes.
fn means(test: &Test, request: &Request) -> Vec<&'static str> {
    let mut means = Vec::new();
    let is_single = |nets: &crate::filter::AddressSet| {
        nets.iter().all(|net| {
            let (low, high) = net.bounds();
            low == high
        })
    };
    match test {
        Test::Int { .. } | Test::IntIn { .. } | Test::Present { .. } | Test::Within { .. } => {
            means.push("statistics");
        }
        // Before any row group.
        Test::Ident { .. } => means.push("the name of the file"),
        Test::Address { nets, is_inside: true, .. } => {
            means.push("statistics");
            if is_single(nets) {
                means.push("Bloom filter");
            }
        }
        _ => {}
    }
    let has_dictionary = |column: ColumnRef| {
        let is_scaled = request.is_scaled && SCALED_COLUMNS.iter().any(|&id| column == id);
        let is_plain = matches!(
            request.columns.kind(column),
            Kind::Labels | Kind::Other | Kind::Float64 | Kind::Boolean
        );
        !is_scaled && !is_plain && !matches!(test, Test::Present { is_present: false, .. })
    };
    if test.column().is_some_and(has_dictionary) {
        means.push("dictionary");
    }
    means
}

/// Files, row groups and rows, and how many of them statistics leave, also those of pages.
#[derive(Debug, Default)]
struct Sums {
    files: u64,
    groups: u64,
    rows: u64,
    files_left: u64,
    groups_left: u64,
    rows_left: u64,
    unreadable: Vec<(PathBuf, String)>,
}

fn sums(request: &Request) -> Result<Sums, Failure> {
    let Listing { files, errors } = catalog::list(&request.source, request.now)?;
    let mut sums = Sums::default();
    sums.unreadable
        .extend(errors.into_iter().map(|(path, error)| (path, ReadError::from(error).to_string())));
    let (mut tables, mut columns) = (Tables::default(), request.columns.clone());
    for mut found in files {
        if interrupt::is_asked() {
            break;
        }
        let scaling = request.is_scaled.then(|| Scaling(tables.rates(&found.path)));
        let mut plan = Plan {
            columns: std::collections::BTreeSet::new(),
            has_extra: false,
            has_fallback_time: false,
            predicate: Arc::clone(&request.predicate),
            scaling,
            anonymizer: None,
            sieve: None,
        };
        let opened = found.open(Depth::Rows).and_then(|file| {
            plan.predicate = file.asked(&plan.predicate);
            file.bind(&mut columns, &plan)
        });
        match opened {
            Ok(file) => {
                let left = file.row_groups(&plan);
                let rows = |&group: &usize| file.rows_left(group, &plan);
                let rows = left.iter().map(rows).fold(0, u64::saturating_add);
                sums.files += 1;
                sums.groups += file.n_groups() as u64;
                sums.rows = sums.rows.saturating_add(file.rows());
                sums.files_left += u64::from(!left.is_empty());
                sums.groups_left += left.len() as u64;
                sums.rows_left = sums.rows_left.saturating_add(rows);
            }
            // Retired since the directories were listed.
            Err(error) if error.is_absence() => {}
            Err(error) => sums.unreadable.push((found.path.clone(), error.to_string())),
        }
    }
    Ok(sums)
}

impl Sums {
    fn write(&self, stdout: &mut dyn Write) -> Result<(), Failure> {
        let Self { files, groups, rows, files_left, groups_left, rows_left, unreadable } = self;
        writeln!(stdout, "left by statistics:")?;
        writeln!(stdout, "  files       {files_left} of {files}")?;
        writeln!(stdout, "  row groups  {groups_left} of {groups}")?;
        writeln!(stdout, "  rows        {rows_left} of {rows}")?;
        for (path, reason) in unreadable {
            let line = format!("can't read `{}`: {reason}", path.display());
            writeln!(stdout, "{}", crate::message::neutral(&line))?;
        }
        Ok(())
    }
}
