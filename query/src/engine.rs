//! Answers a request: row groups of files, batches of rows, to text, sums or groups. The same
//! question has the same answer, however many threads work on it.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::time::Instant;

use flow_common::column::ColumnId;
use flow_common::limits::{OUTPUT_BUFFER_BYTES, PERCENTILE_VALUES_MAX};

use crate::aggregate::{Group, Table};
use crate::aggregation::Aggregation;
use crate::catalog::{self, Listing, Source};
use crate::columns::ColumnRef;
use crate::completeness::Losses;
use crate::counts::Wanted;
use crate::flow::{COUNTER_COLUMNS, OUT_COLUMNS, TIME_COLUMNS};
use crate::group::{Grouping, KeyPart, Ordered};
use crate::interrupt;
use crate::live::{Erasing, Progress};
use crate::measure::What;
use crate::message::{DONE, Failure, PARTIAL, say};
use crate::output::{self, Format, Summary, row_format};
use crate::request::{Question, Request};
use crate::statistic::Statistic;
use crate::verify;

mod info;
mod reader;
mod rows;
mod sorted;
mod sum;
mod threads;
mod written;

use self::reader::{Reader, Tally, Wants};
pub(crate) use self::written::hand_over;

/// Answers `request` on `stdout` and returns the exit code.
pub(crate) fn answer(
    request: &Request,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    let started = Instant::now();
    match request.question {
        Question::Check => return Ok(DONE),
        Question::Files => return verify::files(request, stdout, stderr),
        Question::Exporters => return verify::exporters(request, stdout, stderr),
        _ => {}
    }
    let Listing { files, errors } = catalog::list(&request.source, request.now)?;
    if files.is_empty() {
        say(stderr, "warning", &format!("no flow files in {}", described(&request.source)));
    }
    let style = &request.style;
    let progress = Progress::new(files.len(), request.has_progress);
    let mut reader = Reader::new(request, files, wants(request), &progress);
    for (path, error) in errors {
        reader.cant_read(&path, &error.into());
    }
    if let Some(target) = &request.write {
        return written::write(request, target, reader, stdout, stderr);
    }
    if request.is_decode_only {
        sum::decode(&mut reader);
        return Ok(if reader.say_errors(stderr) { PARTIAL } else { DONE });
    }
    let mut out = BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, Erasing::new(stdout, &progress));
    let (tally, mut said) = print(&mut reader, &mut out)?;
    let told = tally.map(|tally| summary(&reader, &tally, started));
    if let Some(told) = told.as_ref().filter(|_| !request.has_json_summary) {
        output::write_summary(&mut out, style, told)?;
        said.splice(0..0, aside(request, told));
    }
    progress.end();
    out.flush()?;
    let is_partial = reader.say_errors(stderr);
    said.iter().for_each(|said| say(stderr, "note", said));
    if let Some(told) = told.filter(|_| request.has_json_summary) {
        // Who does not want to know has closed it.
        let _ = stderr.write_all(output::summary_json(&told).as_bytes());
    }
    Ok(if is_partial { PARTIAL } else { DONE })
}

/// Prints the answer; what matched, where a summary tells it, and what else there is to say.
fn print(reader: &mut Reader<'_>, out: &mut dyn Write) -> Result<(Option<Tally>, Vec<String>), Failure> {
    let request = reader.request;
    let (style, mut said) = (&request.style, Vec::new());
    let tally = match &request.question {
        Question::Check | Question::Files | Question::Exporters => return Ok((None, said)),
        Question::Info => {
            let (info, rate) = info::info(reader);
            interrupt::check()?;
            output::write_info(out, style, &info)?;
            said.extend(rate.filter(|&rate| rate > 1).map(|rate| {
                format!("totals are as exported, not multiplied by sampling rates of up to {rate}")
            }));
            return Ok((None, said));
        }
        Question::Rows if style.format == Format::Null => sum::sum(reader, &[], 0)?.0,
        Question::Rows => rows::rows(reader, &*row_format(style, &request.columns), out)?,
        Question::Sorted { orders, top } => {
            sorted::sorted(reader, &*row_format(style, &request.columns), (orders, *top), out)?
        }
        Question::Statistics { statistics, top } => {
            let (tally, mut groups) = sum::sum(reader, &groupings(request), *top)?;
            let mut tables = tables(statistics, &mut groups);
            output::write_tables(out, style, *top, &mut tables, &tally.matched)?;
            let mut is_about = false;
            for table in groups.into_iter().flatten() {
                is_about |= table.end()?;
            }
            said.extend(is_about.then(nearly));
            tally
        }
        Question::Aggregate { aggregation, top } => {
            let (tally, mut groups) = groups(reader, aggregation, *top)?;
            output::write_groups(out, style, aggregation, &mut groups)?;
            said.extend(groups.end()?.then(nearly));
            tally
        }
    };
    if interrupt::is_asked() {
        out.flush()?;
        interrupt::check()?;
    }
    Ok((Some(tally), said))
}

/// What flows are grouped by: a grouping for each statistic.
fn groupings(request: &Request) -> Vec<Grouping> {
    let mut groupings: Vec<Grouping> = match &request.question {
        Question::Statistics { statistics, .. } => statistics.iter().map(Statistic::grouping).collect(),
        Question::Aggregate { aggregation, .. } => vec![aggregation.grouping()],
        _ => Vec::new(),
    };
    let mut asked = BTreeSet::new();
    request.post_filter.iter().for_each(|filter| filter.columns(&mut asked));
    let asks_out = OUT_COLUMNS.iter().any(|&id| asked.contains(&id.into()));
    // No table may show what `-P` asks.
    groupings.iter_mut().for_each(|grouping| grouping.has_out |= asks_out);
    groupings
}

/// The first `top` groups of an aggregation; 0 is all.
fn groups(
    reader: &mut Reader<'_>,
    aggregation: &Aggregation,
    top: usize,
) -> Result<(Tally, Ordered), Failure> {
    let (tally, tables) = sum::sum(reader, &groupings(reader.request), top)?;
    let groups = tables.into_iter().flatten().next().ok_or(Failure::Interrupted(interrupt::CTRL_C))?;
    if aggregation.keys.is_empty() && reader.request.post_filter.is_none() {
        // The total of nothing is one, too.
        return Ok((tally, groups.or(Group::of_nothing(&aggregation.measures.whats()))));
    }
    Ok((tally, groups))
}

/// The groups of each statistic and ranking as tables.
fn tables<'a>(statistics: &'a [Statistic], groups: &'a mut [Vec<Ordered>]) -> Vec<Table<'a>> {
    let of = |(statistic, rankings): (&'a Statistic, &'a mut Vec<Ordered>)| {
        let rankings = statistic.rankings.iter().zip(rankings);
        rankings.map(move |(&ranking, groups)| Table::new(statistic, ranking, groups))
    };
    statistics.iter().zip(groups).flat_map(of).collect()
}

/// What is said of percentiles that are not exact.
fn nearly() -> String {
    format!("percentiles over more than {PERCENTILE_VALUES_MAX} different values are within 0.8 %")
}

fn described(source: &Source) -> String {
    match source {
        Source::Default => format!("`./{}`", catalog::DEFAULT_ROOT),
        Source::Path(path) => format!("`{}`", path.display()),
        Source::Sequence(text) => format!("`{text}`"),
        Source::Siblings(all) => all.iter().map(described).collect::<Vec<_>>().join(", "),
    }
}

/// Columns that the rows of a request need.
pub(crate) fn rows_columns(request: &Request) -> BTreeSet<ColumnRef> {
    wants(request).columns
}

/// Columns that sums of `statistics` need.
pub(crate) fn sums_columns(statistics: &[Statistic]) -> BTreeSet<ColumnRef> {
    let groupings: Vec<Grouping> = statistics.iter().map(Statistic::grouping).collect();
    let mut columns = sum::columns(&groupings, Wanted::ALL);
    columns.insert(ColumnId::Protocol.into());
    columns
}

/// What is read of files.
fn wants(request: &Request) -> Wants {
    let style = &request.style;
    let of_sums = |groupings: &[Grouping]| {
        // A key is not only wanted where nothing else tells the time.
        let of_parts = groupings.iter().flat_map(|grouping| &grouping.parts).flat_map(KeyPart::columns);
        let of_measures = groupings.iter().flat_map(|grouping| &grouping.measures).flat_map(What::columns);
        let is_key = of_parts.chain(of_measures).any(|column| column == ColumnId::Received);
        let columns = sum::columns(groupings, Wanted::ALL);
        Wants { columns, has_fallback_time: !is_key, ..Wants::default() }
    };
    match &request.question {
        Question::Statistics { .. } | Question::Aggregate { .. } => of_sums(&groupings(request)),
        _ if request.write.is_some() => written::whole_rows(),
        _ if style.format == Format::Null => of_sums(&[]),
        _ => {
            let mut columns = output::columns(style);
            if output::has_summary(style) || matches!(request.question, Question::Sorted { .. }) {
                columns.extend(TIME_COLUMNS.into_iter().chain(COUNTER_COLUMNS));
            }
            if let Question::Sorted { orders, .. } = &request.question
                && orders.iter().any(|ranking| ranking.order.is_out())
            {
                columns.extend(OUT_COLUMNS);
            }
            let columns: BTreeSet<ColumnRef> = columns.into_iter().map(ColumnRef::from).collect();
            Wants {
                columns,
                has_extra: output::has_extra(style),
                has_fallback_time: output::has_fallback_time(style),
                has_names: output::has_names(style),
            }
        }
    }
}

fn summary(reader: &Reader<'_>, tally: &Tally, started: Instant) -> Summary {
    Summary {
        matched: tally.matched,
        passed: tally.passed,
        processed: reader.processed,
        span: reader.span,
        bytes_read: reader.read.bytes,
        blocks_skipped: reader.read.blocks_skipped,
        rates: tally.rates,
        losses: reader.losses(),
        wall: started.elapsed(),
    }
}

/// Every answer says that it is scaled and what is missing: in the summary, or here.
fn aside(request: &Request, summary: &Summary) -> Vec<String> {
    if output::has_summary(&request.style) {
        return Vec::new();
    }
    let scaled = summary.rates.map(|rates| {
        format!("packets and bytes are multiplied by sampling rates of {}", output::RatesText(rates))
    });
    // Files that can't be read are named one by one.
    let losses = Losses { unreadable_files: 0, ..summary.losses.clone() };
    let missing = (!losses.is_empty()).then(|| format!("not complete: {losses}"));
    scaled.into_iter().chain(missing).collect()
}

#[cfg(test)]
mod tests;
