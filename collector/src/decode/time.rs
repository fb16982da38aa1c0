//! Flows that tell no time: they get that of their event or message, marked.
//!
//! A flow without time would be in no window and at no point of a list. The columns of
//! the flow's times take what comes nearest, and `time_source` says that, and whose
//! time it is. A flow that tells its start or its end alone is left as it is.

use flow_common::column::ColumnId;
use serde::{Deserialize, Serialize};

use super::run::MessageContext;
use super::value::TimeBase;
use crate::flow::FlowBatch;

/// Fills the times of those of the `n` records being appended that have none.
/// `has_field` says whether their template has a field for one.
pub(super) fn append_missing_times(
    has_field: bool,
    n: usize,
    context: &MessageContext,
    batch: &mut FlowBatch,
) {
    let first = batch.rows();
    let lacks = |batch: &FlowBatch, row| {
        let has = |column| batch.integer(column, row).is_some();
        !has(ColumnId::FlowStart) && !has(ColumnId::FlowEnd)
    };
    if has_field
        && (!batch.has_nulls_from(ColumnId::FlowStart, first)
            || !(first..first + n).any(|row| lacks(batch, row)))
    {
        return;
    }
    let (of_message, source) = match context.time.export {
        // A clock that was never set.
        export if export.secs() == 0 => (context.received_at.0, "received"),
        export => (export.0, "export"),
    };
    if !has_field && batch.filled(ColumnId::EventTime) <= first {
        batch.int64(ColumnId::FlowStart).push_n(of_message, n);
        batch.int64(ColumnId::FlowEnd).push_n(of_message, n);
        batch.variable(ColumnId::TimeSource).push_n(source.as_bytes(), n);
        return;
    }
    for row in first..first + n {
        if !lacks(batch, row) {
            batch.variable(ColumnId::TimeSource).push(None);
            continue;
        }
        let event_time = batch.integer(ColumnId::EventTime, row);
        let (at, source) = event_time.map_or((of_message, source), |at| (at, "event"));
        batch.set_int64(ColumnId::FlowStart, row, at);
        batch.set_int64(ColumnId::FlowEnd, row, at);
        batch.variable(ColumnId::TimeSource).push(Some(source.as_bytes()));
    }
}

/// Seconds for which an uptime must stand still. It has milliseconds, so two messages
/// of one have the same time.
const STILL_SECS_MIN: u64 = 5;

/// Whether the uptime of a v9 exporter runs. Cisco's Meraki send the same for ever, so
/// what their flows count from is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uptime {
    /// The uptime seen last, and the export time in seconds at which it was first seen.
    seen: Option<(u32, i64)>,
    is_still: bool,
}

impl Uptime {
    /// The uptime in the header of a message, if it says something.
    pub(crate) fn of(&mut self, time: TimeBase) -> Option<u32> {
        let uptime_ms = time.uptime_ms?;
        match self.seen {
            Some((before_ms, since_secs)) if before_ms == uptime_ms => {
                self.is_still |= time.export.secs().abs_diff(since_secs) > STILL_SECS_MIN;
            }
            _ => *self = Self { seen: Some((uptime_ms, time.export.secs())), is_still: false },
        }
        (!self.is_still).then_some(uptime_ms)
    }
}

#[cfg(test)]
mod tests {
    use flow_common::time::Timestamp;

    use super::*;

    #[test]
    fn an_uptime_that_stands_still_says_nothing() {
        let mut uptime = Uptime::default();
        let mut check = |secs, uptime_ms, expected| {
            let time = TimeBase { export: Timestamp::from_secs(secs), uptime_ms, init: None };
            assert_eq!(uptime.of(time), expected, "{secs} s");
        };
        check(100, Some(7_000), Some(7_000));
        check(105, Some(7_000), Some(7_000));
        check(106, Some(7_000), None);
        check(107, Some(7_000), None);
        check(108, Some(7_001), Some(7_001));
        check(300, None, None);
    }
}
