//! What is measured of groups beside their counters, as the last columns of a table, and the
//! bucket as its first.

use super::json::JsonList;
use super::markdown::cell;
use super::text::{Label, Text, TimeText};
use crate::aggregate::Measured;
use crate::aggregation::BUCKET;
use crate::measure::{Form, Measure, Measures};

/// Characters of a time.
const TIME_WIDTH: usize = 23;
/// Characters of a number at least.
const WIDTH_MIN: usize = 8;
/// Characters of a duration at least.
const DURATION_WIDTH: usize = 16;

/// Prints what `measures` ask.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    measures: &'a Measures,
    is_plain: bool,
}

impl<'a> Columns<'a> {
    pub(super) fn new(measures: &'a Measures, is_plain: bool) -> Self {
        Self { measures, is_plain }
    }

    fn has_bucket(self) -> bool {
        self.measures.bucket.is_some()
    }

    /// What stands before a table's titles, and what behind.
    pub(super) fn titles(self) -> (String, String) {
        let front = if self.has_bucket() { format!("{:<TIME_WIDTH$} ", "Bucket") } else { String::new() };
        let title = |one: &Measure| format!(" {:>1$}", one.title, width(one));
        (front, self.measures.list.iter().map(title).collect())
    }

    /// The bucket before a table's row.
    pub(super) fn bucket(self, bucket: Option<i64>, times: &mut TimeText, text: &mut Text<'_>) {
        if self.has_bucket() {
            times.table(bucket, text);
            text.byte(b' ');
        }
    }

    /// What is measured, behind a table's row.
    pub(super) fn row(self, measured: &[Measured], text: &mut Text<'_>) {
        for (one, measured) in self.measures.list.iter().zip(measured) {
            text.byte(b' ');
            let mark = text.mark();
            self.shown(one, *measured, text);
            text.right(mark, width(one));
        }
    }

    /// Titles of a table in Markdown: before the others and behind them.
    pub(super) fn markdown_titles(
        self,
    ) -> (Option<(&'a str, bool)>, impl Iterator<Item = (&'a str, bool)> + Clone) {
        let behind = self.measures.list.iter().map(|one| (one.title.as_str(), true));
        (self.has_bucket().then_some(("Bucket", false)), behind)
    }

    pub(super) fn markdown_bucket(self, bucket: Option<i64>, times: &mut TimeText, text: &mut Text<'_>) {
        if self.has_bucket() {
            cell(text, |text| times.table(bucket, text));
        }
    }

    pub(super) fn markdown_row(self, measured: &[Measured], text: &mut Text<'_>) {
        for (one, measured) in self.measures.list.iter().zip(measured) {
            cell(text, |text| self.shown(one, *measured, text));
        }
    }

    /// A value for people; `~` before what is about so much.
    fn shown(self, one: &Measure, Measured { value, is_about }: Measured, text: &mut Text<'_>) {
        let Some(value) = value else { return text.byte(b'-') };
        if is_about {
            text.byte(b'~');
        }
        match one.form() {
            Form::Count => text.uint(value),
            Form::Scaled => text.scaled(value, self.is_plain, 0),
            Form::Duration => text.duration(value, self.is_plain),
            Form::Percent if value == 0 => text.byte(b'-'),
            Form::Percent => text.tenths(value as f64 / 1_000.0),
        }
    }

    /// Names for programs: the bucket, and all that is measured, with a comma before each.
    pub(super) fn csv_names(self) -> (Option<&'static str>, String) {
        let name = |one: &Measure| format!(",{}", one.name);
        (self.has_bucket().then_some(BUCKET), self.measures.list.iter().map(name).collect())
    }

    /// The bucket; nothing where there is none.
    pub(super) fn csv_bucket(self, bucket: Option<i64>, times: &mut TimeText, text: &mut Text<'_>) {
        if let Some(micros) = bucket.filter(|_| self.has_bucket()) {
            times.rfc3339(micros, text);
        }
        if self.has_bucket() {
            text.byte(b',');
        }
    }

    pub(super) fn csv_row(self, measured: &[Measured], text: &mut Text<'_>) {
        for (one, measured) in self.measures.list.iter().zip(measured) {
            text.byte(b',');
            if let Some(value) = measured.value {
                number(one, value, text);
            }
        }
    }

    /// Keys of an object: the bucket's, and those of what is measured.
    pub(super) fn labels(self, list: JsonList) -> Labels {
        let measured = self.measures.list.iter().map(|one| list.key(&one.name));
        Labels { bucket: list.key(BUCKET), measured: measured.collect() }
    }

    pub(super) fn json_bucket(
        self,
        labels: &Labels,
        bucket: Option<i64>,
        times: &mut TimeText,
        text: &mut Text<'_>,
    ) {
        if let Some(micros) = bucket.filter(|_| self.has_bucket()) {
            text.label(&labels.bucket);
            times.json(micros, text);
        }
    }

    pub(super) fn json_row(self, labels: &Labels, measured: &[Measured], text: &mut Text<'_>) {
        for ((one, label), measured) in self.measures.list.iter().zip(&labels.measured).zip(measured) {
            let Some(value) = measured.value else { continue };
            text.label(label);
            number(one, value, text);
        }
    }
}

/// Keys of an object.
pub(super) struct Labels {
    bucket: Label,
    measured: Vec<Label>,
}

fn width(one: &Measure) -> usize {
    let least = if one.form() == Form::Duration { DURATION_WIDTH } else { WIDTH_MIN };
    one.title.len().max(least)
}

/// A value for programs: durations in seconds and parts in percent, with three decimals.
fn number(one: &Measure, value: u64, text: &mut Text<'_>) {
    match one.form() {
        Form::Count | Form::Scaled => text.uint(value),
        Form::Duration | Form::Percent => text.millis(value),
    }
}
