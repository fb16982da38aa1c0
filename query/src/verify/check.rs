//! One file, read whole.

use std::path::Path;
use std::sync::Arc;

use flow_common::column::{COLUMNS, ColumnId};
use flow_common::footer::Totals;

use crate::batch::Batch;
use crate::catalog::Found;
use crate::columns::Columns;
use crate::filter::Predicate;
use crate::flow::CounterCells;
use crate::interrupt;
use crate::scan::{BoundFile, Depth, Plan, ReadError};

/// What a sound file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Of flows: who wrote it, where it tells.
    pub(super) counted: Option<Option<String>>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Sound(Sound),
    /// What is wrong with it, the first thing first.
    Damaged(Vec<String>),
    /// It was retired since it was listed.
    Gone,
}

/// Reads every value of a file.
pub(super) fn check(found: &mut Found) -> Verdict {
    let bytes = std::fs::metadata(&found.path).map_or(0, |metadata| metadata.len());
    let file = match found.open(Depth::Rows) {
        Ok(file) => file,
        Err(error) if error.is_absence() => return Verdict::Gone,
        Err(error) => return Verdict::Damaged(vec![error.to_string()]),
    };
    let columns = COLUMNS.iter().map(|column| column.id.into()).collect();
    let predicate = Arc::new(Predicate::Constant(true));
    let plan = Plan {
        columns,
        has_extra: true,
        has_fallback_time: false,
        predicate,
        scaling: None,
        anonymizer: None,
        sieve: None,
    };
    let file = match file.bind(&mut Columns::default(), &plan) {
        Ok(file) => file,
        Err(error) => return Verdict::Damaged(vec![error.to_string()]),
    };
    let (mut counted, mut damage) = (Totals::default(), Vec::new());
    for group in 0..file.n_groups() {
        if interrupt::is_asked() {
            break;
        }
        match read_group(&file, group, &plan, &mut counted) {
            Ok(rows) if rows == file.group_rows(group) => {}
            Ok(rows) => damage.push(format!(
                "row group {}: {rows} rows are there, and {} should be",
                group + 1,
                file.group_rows(group)
            )),
            Err(error) => {
                let error = error.to_string();
                // Each layer says so.
                let cause = error.trim_start_matches("it is damaged: ");
                damage.push(format!("row group {}: {cause}", group + 1));
            }
        }
    }
    if damage.is_empty()
        && let Some(footer) = &file.footer
    {
        damage.extend(differences(&counted, &footer.totals));
    }
    if !damage.is_empty() {
        return Verdict::Damaged(damage);
    }
    let writer = file.footer.as_ref().map(|footer| footer.writer.clone());
    Verdict::Sound(Sound { rows: file.rows(), bytes, counted: Some(writer) })
}

fn read_group(file: &BoundFile, group: usize, plan: &Plan, counted: &mut Totals) -> Result<u64, ReadError> {
    let mut scan = file.scan(group, plan)?;
    let mut rows = 0;
    while let Some(batch) = scan.next()? {
        rows += batch.rows() as u64;
        count(&batch, counted);
        if interrupt::is_asked() {
            return Ok(file.group_rows(group));
        }
    }
    Ok(rows)
}

fn count(batch: &Batch, totals: &mut Totals) {
    let (cells, protocol) = (CounterCells::new(batch), batch.cells(ColumnId::Protocol));
    let [start, end] = [ColumnId::FlowStart, ColumnId::FlowEnd].map(|column| batch.cells(column));
    for row in 0..batch.rows() {
        let counters = cells.get(row);
        if counters.is_event() {
            totals.add_event();
        } else {
            let number = protocol.int(row).and_then(|number| u8::try_from(number).ok());
            totals.add_record(number, counters.flows, counters.packets, counters.bytes);
        }
        let (start, end) = (start.int(row), end.int(row));
        totals.add_span(start.or(end), end.or(start));
    }
}

/// What the metadata says, where the rows say otherwise.
fn differences(counted: &Totals, told: &Totals) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, counted: u64, told: u64| {
        if counted != told {
            found.push(format!("its metadata says {told} {what}, and its rows have {counted}"));
        }
    };
    let classes = [
        ("TCP", counted.tcp, told.tcp),
        ("UDP", counted.udp, told.udp),
        ("ICMP", counted.icmp, told.icmp),
        ("other", counted.other, told.other),
    ];
    for (class, counted, told) in classes {
        compare(&format!("{class} flows"), counted.flows, told.flows);
        compare(&format!("{class} packets"), counted.packets, told.packets);
        compare(&format!("{class} bytes"), counted.bytes, told.bytes);
    }
    compare("events", counted.events, told.events);
    if (counted.first, counted.last) != (told.first, told.last) {
        found.push("its metadata says another time of the first or the last flow than its rows".to_owned());
    }
    found
}

/// A path as it is shown.
pub(super) fn shown(path: &Path) -> String {
    crate::message::neutral(&path.display().to_string()).replace('\n', "?")
}
