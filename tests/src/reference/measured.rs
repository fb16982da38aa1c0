//! Buckets, distinct values, percentiles and errors of groups, one row at a time.

use std::collections::BTreeMap;

use flow_common::column::{COLUMNS, ColumnId as Id, Kind};
use serde_json::Value;

use super::case::{Verdict, same};
use super::grammar::Grammar;
use super::row::{Cell, Place, Row, column};
use super::statistic::{Key, Ordered, Sums, Table, elements, is_of_events};
use super::tree::Tree;
use super::value;
use crate::mutate::Xorshift;
use crate::query::flowdump;

/// What rows are grouped by beside the bucket.
enum Keys {
    Alone,
    Columns(Vec<Place>),
    Statistic(Key),
}

/// A column of the answer.
#[derive(Clone)]
enum Measure {
    Distinct(Place),
    /// Counter and thousandths of a percent.
    Percentile(&'static str, u64),
    /// The same over spans of so many seconds.
    OfSpans(&'static str, i64, u64),
    Error,
}

/// A group: its bucket, what it adds up to, and what is measured.
struct Group {
    bucket: Option<i64>,
    sums: Sums,
    measured: Vec<Option<u64>>,
}

/// The start of the span of so many seconds that an instant lies in.
fn start(micros: i64, secs: i64) -> i64 {
    let width = i128::from(secs) * 1_000_000;
    let start = i128::from(micros).div_euclid(width) * width;
    i64::try_from(start).unwrap_or(i64::MIN)
}

/// The last microsecond of the span that an instant lies in.
fn last(micros: i64, secs: i64) -> i64 {
    let width = i128::from(secs) * 1_000_000;
    let end = (i128::from(micros).div_euclid(width) + 1) * width;
    i64::try_from(end - 1).unwrap_or(i64::MAX)
}

/// The value that so many thousandths of a percent are not above, of sorted ones.
fn nearest_rank(sorted: &[u64], thousandths: u64) -> Option<u64> {
    let place = (sorted.len() as u64 * thousandths).div_ceil(100_000).max(1);
    sorted.get(usize::try_from(place).ok()? - 1).copied()
}

fn rate(counter: &str, sums: &Sums, ms: u64) -> u64 {
    let (count, units) = match counter {
        "bytes" | "packets" => return sums.by(counter),
        "bps" => (sums.bytes, 8_000_u128),
        _ => (sums.packets, 1_000),
    };
    u64::try_from(u128::from(count) * units / u128::from(ms)).unwrap_or(u64::MAX)
}

impl Measure {
    /// Of the rows of one group; `bounds` are the first and the last row's start in all groups.
    fn of(&self, rows: &[&Row], bucket: Option<(i64, i64)>, bounds: (i64, i64)) -> Option<u64> {
        match self {
            Self::Distinct(place) => {
                let cells = rows.iter().filter_map(|row| row.cell(*place).cloned());
                let values: std::collections::BTreeSet<_> =
                    cells.map(|cell| Ordered(vec![Some(cell)])).collect();
                Some(values.len() as u64)
            }
            Self::Percentile(counter, thousandths) => {
                let value = |row: &&Row| match (*counter, Sums::of(row)) {
                    ("duration", sums) => sums.duration_ms(),
                    (counter, sums) => sums.by(counter),
                };
                let mut values: Vec<u64> = rows.iter().map(value).collect();
                values.sort_unstable();
                nearest_rank(&values, *thousandths)
            }
            Self::OfSpans(counter, secs, thousandths) => {
                let mut spans: BTreeMap<i64, Sums> = BTreeMap::new();
                for row in rows {
                    if let Some(first) = row.first() {
                        spans.entry(start(first, *secs)).or_default().add(&Sums::of(row));
                    }
                }
                let (first, last) = match bucket {
                    Some((start, secs)) => (start, last(start, secs)),
                    None => bounds,
                };
                let (first, last) = (start(first, *secs), start(last, *secs));
                let ms = secs.unsigned_abs() * 1_000;
                let mut values: Vec<u64> = spans.values().map(|sums| rate(counter, sums, ms)).collect();
                values.sort_unstable();
                let all = (i128::from(last) - i128::from(first)) / (i128::from(*secs) * 1_000_000) + 1;
                let all = u128::try_from(all).unwrap_or(0).max(values.len() as u128);
                let zeros = all - values.len() as u128;
                let place = (all * u128::from(*thousandths)).div_ceil(100_000).max(1);
                match usize::try_from(place.saturating_sub(zeros)).ok()? {
                    0 => Some(0).filter(|_| !values.is_empty()),
                    place => values.get(place - 1).copied(),
                }
            }
            Self::Error => {
                let packets = |row: &Row| Sums::of(row).packets;
                let all: u64 = rows.iter().fold(0, |sum, row| sum.saturating_add(packets(row)));
                let sampled = rows.iter().filter(|row| row.rate > 1);
                let variance = sampled.fold(0_u128, |sum, row| {
                    sum.saturating_add(u128::from(row.rate.unsigned_abs()) * u128::from(packets(row)))
                });
                let error = if all == 0 { 0.0 } else { 196_000.0 * (variance as f64).sqrt() / all as f64 };
                Some(error.round() as u64)
            }
        }
    }

    /// As JSON prints it.
    fn text(&self, value: Option<u64>) -> String {
        let is_fraction = matches!(self, Self::Error | Self::Percentile("duration", _));
        match value {
            None => "null".to_owned(),
            Some(value) if is_fraction => {
                serde_json::from_str::<Value>(&value::seconds(value)).unwrap_or_default().to_string()
            }
            Some(value) => value.to_string(),
        }
    }
}

/// One question, and how its answer is worked out.
struct Question {
    args: Vec<String>,
    width_secs: Option<i64>,
    keys: Keys,
    measures: Vec<(String, Measure)>,
    /// The place of the measure that ranks, else it is flows.
    order: Option<usize>,
    /// Whether groups of a bucket stand together.
    is_by_bucket: bool,
    top: usize,
}

const WIDTHS: [(&str, i64); 5] = [("1s", 1), ("10s", 10), ("5m", 300), ("2h", 7_200), ("1d", 86_400)];
const PERCENTS: [(&str, u64); 6] =
    [("0", 0), ("50", 50_000), ("90", 90_000), ("95", 95_000), ("99.9", 99_900), ("100", 100_000)];

impl Question {
    fn new(tree: &Tree, random: &mut Xorshift) -> Self {
        let mut args: Vec<String> = Vec::new();
        let width = (random.below(3) > 0).then(|| WIDTHS[random.below(WIDTHS.len())]);
        args.extend(width.into_iter().flat_map(|(word, _)| ["--bucket".to_owned(), word.to_owned()]));
        let mut measures = measures(tree, &mut args, random);
        if measures.is_empty() && width.is_none() {
            measures.push(("error_percent".to_owned(), Measure::Error));
            args.push("--error".to_owned());
        }
        let order = (!measures.is_empty() && random.below(3) == 0).then(|| random.below(measures.len()));
        let mut is_by_bucket = width.is_some() && order.is_none();
        let of_word = |word: &str| if word == "flows" { String::new() } else { format!("/{word}") };
        let order_word = order.map_or("flows".to_owned(), |at| measures[at].0.clone());
        let keys = match random.below(4) {
            0 => {
                is_by_bucket = false;
                Keys::Alone
            }
            1 => {
                let usable = |(_, key): &(String, Key)| *key != Key::Record && !is_of_events(key);
                let known: Vec<_> = elements(&tree.extra).into_iter().filter(usable).collect();
                let (word, key) = known[random.below(known.len())].clone();
                args.extend(["-s".to_owned(), format!("{word}{}", of_word(&order_word))]);
                is_by_bucket = width.is_some();
                Keys::Statistic(key)
            }
            _ => {
                let words = [("srcip", Id::SrcAddr), ("dstport", Id::DstPort), ("proto", Id::Protocol)];
                let n = 1 + random.below(words.len());
                let chosen: Vec<_> = (0..n).map(|at| words[at]).collect();
                let words: Vec<_> = chosen.iter().map(|(word, _)| *word).collect();
                args.extend(["-A".to_owned(), words.join(",")]);
                Keys::Columns(chosen.iter().map(|(_, id)| *id as usize).collect())
            }
        };
        if let (Some(at), false) = (order, matches!(keys, Keys::Statistic(_))) {
            args.extend(["-O".to_owned(), measures[at].0.clone()]);
        }
        let top = if random.below(3) == 0 { 1 + random.below(5) } else { 0 };
        args.extend(["-n".to_owned(), top.to_string()]);
        let width_secs = width.map(|(_, secs)| secs);
        Self { args, width_secs, keys, measures, order, is_by_bucket, top }
    }

    fn keys(&self, row: &Row) -> Vec<Vec<Option<Cell>>> {
        match &self.keys {
            Keys::Alone => vec![Vec::new()],
            Keys::Columns(places) => vec![places.iter().map(|place| row.cell(*place).cloned()).collect()],
            Keys::Statistic(key) => Table::of(key.clone()).keys(row),
        }
    }

    /// The groups, ranked; of equals none is first.
    fn groups(&self, rows: &[&Row]) -> Vec<Group> {
        let mut found: BTreeMap<(Option<i64>, Ordered), Vec<&Row>> = BTreeMap::new();
        let mut bounds: Option<(i64, i64)> = None;
        for row in rows.iter().filter(|row| row.int(Id::Contributes) != Some(0)) {
            let first = row.first();
            let bucket = self.width_secs.zip(first).map(|(secs, first)| start(first, secs));
            for key in self.keys(row) {
                let (least, most) = bounds.unwrap_or((i64::MAX, i64::MIN));
                bounds = first.map(|first| (least.min(first), most.max(first))).or(bounds);
                found.entry((bucket, Ordered(key))).or_default().push(row);
            }
        }
        if found.is_empty() && matches!(self.keys, Keys::Alone) && self.width_secs.is_none() {
            found.insert((None, Ordered(Vec::new())), Vec::new());
        }
        let group = |((bucket, _), rows): ((Option<i64>, Ordered), Vec<&Row>)| {
            let mut sums = Sums::default();
            rows.iter().for_each(|row| sums.add(&Sums::of(row)));
            let span = bucket.zip(self.width_secs);
            let measured = self.measures.iter().map(|(_, one)| one.of(&rows, span, bounds.unwrap_or((0, 0))));
            Group { bucket, measured: measured.collect(), sums }
        };
        let mut groups: Vec<Group> = found.into_iter().map(group).collect();
        groups.sort_by_key(|group| {
            let bucket = group.bucket.filter(|_| self.is_by_bucket || self.is_series());
            (bucket, std::cmp::Reverse(self.rank(group)))
        });
        groups
    }

    /// Whether rows are buckets, one after another.
    fn is_series(&self) -> bool {
        matches!(self.keys, Keys::Alone) && self.order.is_none()
    }

    fn rank(&self, group: &Group) -> u64 {
        self.order.map_or(group.sums.flows, |at| group.measured[at].unwrap_or(0))
    }

    /// What ranks the rows of the answer, in order.
    fn ranks(&self, groups: &[Group]) -> Vec<(Option<i64>, u64)> {
        let rank = |group: &Group| (group.bucket.filter(|_| self.is_by_bucket), self.rank(group));
        let mut ranks: Vec<_> = groups.iter().map(rank).collect();
        if self.top > 0 {
            let (mut last, mut n) = (None, 0);
            ranks.retain(|(bucket, _)| {
                n = if last == Some(*bucket) { n + 1 } else { 1 };
                last = Some(*bucket);
                n <= self.top
            });
        }
        ranks
    }

    /// All that a row says, as text.
    fn line(&self, group: &Group) -> String {
        let bucket = group.bucket.map_or(Value::Null, value::json_time);
        let Sums { flows, packets, bytes, .. } = group.sums;
        let rates = ["pps", "bps"].map(|counter| match self.width_secs {
            Some(secs) => rate(counter, &group.sums, secs.unsigned_abs() * 1_000),
            None => group.sums.by(counter),
        });
        let measured = self.measures.iter().zip(&group.measured).map(|((_, one), value)| one.text(*value));
        let measured: Vec<_> = measured.collect();
        format!("{bucket} {flows} {packets} {bytes} {rates:?} {}", measured.join(" "))
    }

    fn line_of(&self, row: &Value) -> String {
        let count = |name: &str| row[name].as_u64().unwrap_or(u64::MAX);
        let [flows, packets, bytes] = ["flows", "packets", "bytes"].map(count);
        let rates = ["pps", "bps"].map(count);
        let measured: Vec<_> = self.measures.iter().map(|(name, _)| row[name].to_string()).collect();
        format!("{} {flows} {packets} {bytes} {rates:?} {}", row["bucket"], measured.join(" "))
    }
}

/// Some of what can be measured, each with its name.
fn measures(tree: &Tree, args: &mut Vec<String>, random: &mut Xorshift) -> Vec<(String, Measure)> {
    let mut measures: Vec<(String, Measure)> = Vec::new();
    let mut put = |args: &mut Vec<String>, option: &str, word: String, name: String, measure: Measure| {
        if measures.iter().all(|(known, _)| *known != name) {
            args.extend([option.to_owned(), word]);
            measures.push((name, measure));
        }
    };
    for _ in 0..random.below(3) {
        let place = random.below(COLUMNS.len() + tree.extra.len());
        let (name, kind) = column(place, &tree.extra);
        if !matches!(kind, Kind::Labels | Kind::Other) {
            let measure = Measure::Distinct(place);
            put(args, "--distinct", name.to_owned(), format!("distinct_{name}"), measure);
        }
    }
    for _ in 0..random.below(3) {
        let (percent, thousandths) = PERCENTS[random.below(PERCENTS.len())];
        let tail = percent.replace('.', "_");
        if random.below(2) == 0 {
            let counter = ["bytes", "packets", "duration", "bps", "pps", "bpp"][random.below(6)];
            let measure = Measure::Percentile(counter, thousandths);
            let word = format!("{counter}:{percent}");
            put(args, "--percentile", word, format!("{counter}_p{tail}"), measure);
        } else {
            let counter = ["bytes", "packets", "bps", "pps"][random.below(4)];
            let (width, secs) = WIDTHS[random.below(WIDTHS.len())];
            let measure = Measure::OfSpans(counter, secs, thousandths);
            let word = format!("{counter}@{width}:{percent}");
            put(args, "--percentile", word, format!("{counter}_{width}_p{tail}"), measure);
        }
    }
    if random.below(4) == 0 {
        args.push("--error".to_owned());
        measures.push(("error_percent".to_owned(), Measure::Error));
    }
    measures
}

/// Asks for what is measured of groups of the seed's choice, and compares all of every row; the
/// error says both answers.
pub fn check_measured(seed: u64, tree: &Tree, options: &[String]) -> Result<Verdict, String> {
    let random = &mut Xorshift::new(seed);
    let question = Question::new(tree, random);
    let (node, text) = Grammar::new(&tree.extra, tree.rows_of(true)).filter(2, random);
    let args = question.args.iter().map(String::as_str).chain(["-o", "ndjson"]);
    let args: Vec<&str> = args.chain(options.iter().map(String::as_str)).chain(["--", &text]).collect();
    let output = flowdump(tree.root(), &args);
    let failed = |what: String| format!("{}: flowdump {args:?}\n{what}\n{}", tree.name, output.stderr);
    let parsed: Result<Vec<Value>, _> = output.stdout.lines().map(serde_json::from_str).collect();
    let Ok(found) = parsed else { return Err(failed(format!("no JSON: {}", output.stdout))) };
    if output.code != 0 {
        return Err(failed(format!("exit {}", output.code)));
    }
    let rows: Vec<&Row> = tree.rows_of(true).iter().filter(|row| node.holds(row)).collect();
    let expected = question.groups(&rows);
    let time = |row: &Value| row.get("bucket").cloned().unwrap_or(Value::Null);
    let rank_name = question.order.map_or("flows", |at| &question.measures[at].0);
    let ranks = question.ranks(&expected).into_iter().map(|(bucket, rank)| {
        let bucket = bucket.map_or(Value::Null, value::json_time);
        let rank = match question.order {
            Some(at) => question.measures[at].1.text(Some(rank)),
            None => rank.to_string(),
        };
        format!("{bucket} {rank}")
    });
    let nothing = question.order.map_or("0".to_owned(), |at| question.measures[at].1.text(Some(0)));
    let ranks_found = found.iter().map(|row| {
        let bucket = if question.is_by_bucket { time(row) } else { Value::Null };
        let rank = row.get(rank_name).map_or_else(|| nothing.clone(), Value::to_string);
        format!("{bucket} {rank}")
    });
    same(ranks.collect(), ranks_found.collect()).map_err(failed)?;
    let n_found = found.len();
    if question.top == 0 {
        let mut lines: Vec<String> = expected.iter().map(|group| question.line(group)).collect();
        let mut lines_found: Vec<String> = found.iter().map(|row| question.line_of(row)).collect();
        if question.is_series() {
            same(lines.clone(), lines_found.clone()).map_err(failed)?;
        }
        // How ties are broken is no part of this.
        lines.sort_unstable();
        lines_found.sort_unstable();
        same(lines, lines_found).map_err(failed)?;
    }
    Ok(Verdict { matched: rows.len(), answered: n_found })
}
