//! Statistics as JSON with nfdump's keys: those of its lines, and a list where it has none.

use std::io::{self, Write};

use super::json::JsonList;
use super::nfjson::{key, time};
use super::statistics::{json_value, row_protocol, write_rows};
use super::text::{Text, TimeText};
use super::{Style, grouped};
use crate::aggregate::{Element, Table};

/// Writes every table, one after another in one list.
pub(super) fn write_tables(out: &mut dyn Write, style: &Style, tables: &mut [Table<'_>]) -> io::Result<()> {
    if let [table] = tables
        && table.is_of_records()
    {
        return grouped::write_records(out, style, table.records());
    }
    let list = JsonList::new(style.format);
    let mut times = TimeText::new(style.zone);
    let mut row_count = 0;
    let names = ["first", "last", "proto", "flows", "packets", "bytes", "pps", "bps", "bpp"];
    let [first, last, proto, counts @ ..] = names.map(|name| {
        let [label, _] = key(list, name);
        label
    });
    out.write_all(list.open().as_bytes())?;
    // Flows of one 5-tuple have a table of their own.
    for table in tables {
        let statistic = table.statistic;
        let [word, _] = key(list, &statistic.word);
        write_rows(
            out,
            table.elements(),
            |text: &mut Text<'_>, Element { protocol, value, counters, .. }| {
                text.str(if row_count > 0 { list.separator() } else { "" });
                row_count += 1;
                let object = list.begin_object(text);
                for (label, instant) in [(&first, counters.first), (&last, counters.last)] {
                    text.label(label);
                    time(instant, &mut times, text);
                }
                text.label(&proto);
                text.int(row_protocol(statistic, protocol, &value).flatten().unwrap_or(0));
                text.label(&word);
                json_value(text, &value);
                for (label, value) in counts.iter().zip(counters.shown()) {
                    text.label(label);
                    text.uint(value);
                }
                list.end_object(object, text);
            },
        )?;
    }
    out.write_all(list.close(row_count == 0).as_bytes())
}
