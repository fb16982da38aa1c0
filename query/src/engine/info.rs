//! `-I`: totals from footers alone; a file without is counted row by row.

use flow_common::column::ColumnId;
use flow_common::footer::Totals;
use std::sync::Arc;

use super::reader::Reader;
use crate::columns::{ColumnRef, Columns};
use crate::filter::Predicate;
use crate::flow::{COUNTER_COLUMNS, CounterCells, TIME_COLUMNS};
use crate::output::Info;
use crate::scan::{BoundFile, Depth, FlowFile, Plan, ReadError};

/// The totals of all files, and the largest rate of a row of which only they were read.
pub(super) fn info(reader: &mut Reader<'_>) -> (Info, Option<i64>) {
    let (mut info, mut unscaled_rate) = (Info::default(), None);
    while let Some(mut found) = reader.next_found() {
        let Some(file) = reader.open(&mut found, Depth::Footer) else { continue };
        let path = &found.path;
        let told = reader.tables.rates(path).max;
        unscaled_rate = unscaled_rate.max(file.own_rate_max()).max(Some(told));
        if let Some(reports) = reader.tables.new_reports(path) {
            info.reports.extend(reports.iter().cloned());
        }
        reader.note_unreadable();
        match &file.footer {
            Some(footer) => {
                info.totals.add(&footer.totals);
                info.idents.insert(footer.ident.clone());
                let gaps =
                    footer.exporters.iter().fold(0, |sum: u64, exporter| sum.saturating_add(exporter.gaps));
                info.sequence_gaps = Some(info.sequence_gaps.unwrap_or(0).saturating_add(gaps));
            }
            None => {
                let (totals, error) = count_totals(file);
                info.totals.add(&totals);
                if let Some(error) = error {
                    reader.cant_read(path, &error);
                }
            }
        }
    }
    (info, unscaled_rate)
}

/// Counts what a footer would say, up to the first row group that can't be read.
fn count_totals(file: FlowFile) -> (Totals, Option<ReadError>) {
    let columns = TIME_COLUMNS.into_iter().chain(COUNTER_COLUMNS).chain([ColumnId::Protocol]);
    let predicate = Arc::new(Predicate::Constant(true));
    let columns = columns.map(ColumnRef::from).collect();
    let plan = Plan {
        columns,
        has_extra: false,
        has_fallback_time: true,
        predicate,
        scaling: None,
        anonymizer: None,
        sieve: None,
    };
    let mut totals = Totals::default();
    let file = match file.bind(&mut Columns::default(), &plan) {
        Ok(file) => file,
        Err(error) => return (totals, Some(error)),
    };
    for group in file.row_groups(&plan) {
        if let Err(error) = add_group(&mut totals, &file, group, &plan) {
            return (totals, Some(error));
        }
    }
    (totals, None)
}

fn add_group(totals: &mut Totals, file: &BoundFile, group: usize, plan: &Plan) -> Result<(), ReadError> {
    let mut scan = file.scan(group, plan)?;
    while let Some(batch) = scan.next()? {
        let (counted, protocol) = (CounterCells::new(&batch), batch.cells(ColumnId::Protocol));
        for row in 0..batch.rows() {
            let counters = counted.get(row);
            let number = protocol.int(row).and_then(|number| u8::try_from(number).ok());
            if counters.is_event() {
                totals.add_event();
            } else {
                totals.add_record(number, counters.flows, counters.packets, counters.bytes);
            }
            totals.add_span(counters.first, counters.last);
        }
    }
    Ok(())
}
