//! `--bucket`, `--distinct`, `--percentile` and `--error`: what is asked of groups beyond the
//! counters all of them have.

use flow_common::limits::MEASURES_MAX;

use crate::Zone;
use crate::aggregation::{BUCKET, whole_column};
use crate::bucket::Bucket;
use crate::columns::{ColumnRef, Columns};
use crate::flow::Counters;
use crate::group::KeyPart;
use crate::message::{Failure, NameError, nearest};
use crate::statistic::Order;

/// A counter percentiles are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Bytes,
    Packets,
    /// Milliseconds.
    Duration,
    Bps,
    Pps,
    Bpp,
}

impl Quantity {
    const ALL: [Self; 6] = [Self::Bytes, Self::Packets, Self::Duration, Self::Bps, Self::Pps, Self::Bpp];
    /// Those that add up over a span of time.
    const OF_SPANS: [Self; 4] = [Self::Bytes, Self::Packets, Self::Bps, Self::Pps];

    fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Duration => "duration",
            Self::Bps => "bps",
            Self::Pps => "pps",
            Self::Bpp => "bpp",
        }
    }

    /// That of one record.
    pub(crate) fn of(self, counters: &Counters) -> u64 {
        match self {
            Self::Bytes => counters.bytes,
            Self::Packets => counters.packets,
            Self::Duration => counters.duration_ms(),
            Self::Bps => counters.bps(),
            Self::Pps => counters.pps(),
            Self::Bpp => counters.bpp(),
        }
    }

    /// What adds up over a span.
    pub(crate) fn amount(self, counters: &Counters) -> u64 {
        match self {
            Self::Bytes | Self::Bps => counters.bytes,
            _ => counters.packets,
        }
    }

    /// That of a span of time with this sum.
    pub(crate) fn of_span(self, amount: u64, length_ms: u64) -> u64 {
        let counters = Counters { bytes: amount, packets: amount, over_ms: length_ms, ..Counters::default() };
        self.of(&counters)
    }
}

/// A part of a hundred, in thousandths of a percent: 0 to 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percent(u32);

impl Percent {
    const WHOLE: u32 = 100_000;

    /// Reads `95` and `99.95`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(part) || part.len() > 3 {
            return None;
        }
        let thousandths: u32 = format!("{part:0<3}").parse().ok()?;
        let all = whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(thousandths)?;
        (all <= Self::WHOLE).then_some(Self(all))
    }

    /// Nearest rank: the place, from 1, of the smallest of `n` values in order that so many
    /// percent of them are not above; of 0 % the first.
    pub(crate) fn rank(self, n: u64) -> u64 {
        let place = (u128::from(n) * u128::from(self.0)).div_ceil(Self::WHOLE.into());
        u64::try_from(place).unwrap_or(u64::MAX).max(1)
    }
}

/// What is measured: a plain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// How many different values of a column there are; NULL is none.
    Distinct(KeyPart),
    /// A percentile over the records.
    Percentile(Quantity, Percent),
    /// A percentile over spans of time, those without a flow included.
    OfSpans(Quantity, Bucket, Percent),
    /// How far packets and bytes may be off for being sampled.
    Error,
}

impl What {
    /// Columns it needs beyond counters and times.
    pub(crate) fn columns(&self) -> Vec<ColumnRef> {
        match self {
            Self::Distinct(part) => part.columns(),
            Self::Percentile(..) | Self::OfSpans(..) | Self::Error => Vec::new(),
        }
    }
}

/// How a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Count,
    /// As counters are: `1.8 M`.
    Scaled,
    /// Milliseconds.
    Duration,
    /// Thousandths of a percent.
    Percent,
}

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) what: What,
    /// How it was asked for, as an order says it: `distinct:dstport`.
    word: String,
    /// Its name for programs.
    pub(crate) name: String,
    /// How tables call it.
    pub(crate) title: String,
}

impl Measure {
    pub(crate) fn form(&self) -> Form {
        match self.what {
            What::Distinct(_) | What::Percentile(Quantity::Bpp, _) => Form::Count,
            What::Percentile(Quantity::Duration, _) => Form::Duration,
            What::Percentile(..) | What::OfSpans(..) => Form::Scaled,
            What::Error => Form::Percent,
        }
    }

    /// The option that asks for it.
    fn option(&self) -> &'static str {
        match self.what {
            What::Distinct(_) => DISTINCT,
            What::Percentile(..) | What::OfSpans(..) => PERCENTILE,
            What::Error => ERROR,
        }
    }
}

const DISTINCT: &str = "distinct";
const PERCENTILE: &str = "percentile";
const ERROR: &str = "error";

/// What was typed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) bucket: Option<&'a str>,
    pub(crate) distinct: &'a [String],
    pub(crate) percentile: &'a [String],
    pub(crate) error: bool,
}

/// All that is asked of groups beyond their counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Measures {
    /// Spans of time that groups are parted into.
    pub(crate) bucket: Option<Bucket>,
    pub(crate) list: Vec<Measure>,
}

impl Measures {
    /// What `asked` means; times are those of `zone`.
    pub(crate) fn parse(asked: Asked<'_>, zone: Zone, columns: &Columns) -> Result<Self, NameError> {
        let bucket = asked.bucket.map(|text| Bucket::parse(text, "--bucket ", zone)).transpose()?;
        let mut list: Vec<Measure> = Vec::new();
        let mut push = |measure: Measure| {
            if list.iter().all(|known| known.name != measure.name) {
                list.push(measure);
            }
        };
        for word in asked.distinct.iter().flat_map(|text| text.split(',')) {
            push(distinct(word.trim(), columns)?);
        }
        for word in asked.percentile.iter().flat_map(|text| text.split(',')) {
            push(percentile(word.trim(), zone)?);
        }
        if asked.error {
            let (name, title) = ("error_percent".to_owned(), "Error(%)".to_owned());
            push(Measure { what: What::Error, word: ERROR.to_owned(), name, title });
        }
        if list.len() > MEASURES_MAX {
            let message = format!("{} columns are asked for, more than {MEASURES_MAX}", list.len());
            return Err(Failure::usage_hint(message, "ask some of them in another run").into());
        }
        Ok(Self { bucket, list })
    }

    /// The word of what needs a database of places, if there is one.
    pub(crate) fn needs_places(&self) -> Option<&str> {
        let is_it = |one: &&Measure| matches!(one.what, What::Distinct(part) if part.source.needs_places());
        self.list.iter().find(is_it)?.word.split_once(':').map(|(_, column)| column)
    }

    /// Whether it is about autonomous systems that exporters told.
    pub(crate) fn is_of_origins(&self) -> bool {
        let is_it =
            |one: &Measure| matches!(one.what, What::Distinct(part) if part.source.looked_up().is_some());
        self.list.iter().any(is_it)
    }

    /// Looks systems up where exporters told none.
    pub(crate) fn look_origins_up(&mut self) {
        for one in &mut self.list {
            if let What::Distinct(part) = &mut one.what {
                part.source = part.source.looked_up().unwrap_or(part.source);
            }
        }
    }

    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.bucket.is_none() && self.list.is_empty()
    }

    pub(crate) fn whats(&self) -> Vec<What> {
        self.list.iter().map(|measure| measure.what).collect()
    }

    /// The order a word in lower case means: `bucket`; `distinct`, the first of them;
    /// `distinct:dstport`; a column's name.
    pub(crate) fn order(&self, word: &str) -> Option<Order> {
        if self.bucket.is_some() && word == BUCKET {
            return Some(Order::Bucket);
        }
        let is_it = |one: &Measure| one.word == word || one.name == word || one.option() == word;
        let at = self.list.iter().position(is_it)?;
        u8::try_from(at).ok().map(Order::Measure)
    }

    /// Every word that [`Self::order`] knows, but for names of columns.
    pub(crate) fn order_words(&self) -> impl Iterator<Item = &str> {
        let bucket = self.bucket.map(|_| BUCKET);
        bucket.into_iter().chain(self.list.iter().map(|one| one.word.as_str()))
    }

    /// Why `text` is no order, where it could be one if something else were asked.
    pub(crate) fn missing(&self, text: &str) -> Option<Failure> {
        let word = text.split(':').next().unwrap_or(text).to_ascii_lowercase();
        let options = [(BUCKET, "5m"), (DISTINCT, "dstport"), (PERCENTILE, "bytes:95"), (ERROR, "")];
        let (option, example) = options.into_iter().find(|(option, _)| *option == word)?;
        let hint = match nearest(&text.to_ascii_lowercase(), self.order_words()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("for example with `{}`", format!("--{option} {example}").trim_end()),
        };
        let message = format!("`{text}` is no order of this question: nothing asks for it");
        Some(Failure::usage_hint(message, hint))
    }

    /// How an answer calls an order whose own word is `word`.
    pub(crate) fn order_word<'a>(&'a self, order: Order, word: &'a str) -> &'a str {
        match order {
            Order::Measure(at) => self.list.get(usize::from(at)).map_or(word, |one| &one.word),
            _ => word,
        }
    }
}

fn distinct(word: &str, columns: &Columns) -> Result<Measure, NameError> {
    let stem = word.to_ascii_lowercase();
    let found = whole_column(&stem, "--distinct", columns)?;
    Ok(Measure {
        what: What::Distinct(found.part()),
        word: format!("{DISTINCT}:{stem}"),
        name: format!("{DISTINCT}_{}", found.name),
        title: format!("Distinct {}", found.title),
    })
}

fn percentile(word: &str, zone: Zone) -> Result<Measure, Failure> {
    let lower = word.to_ascii_lowercase();
    let Some((counter, percent_text)) = lower.split_once(':') else {
        let message = format!("`--percentile {word}` says no percentage");
        return Err(Failure::usage_hint(message, "for example `--percentile bytes:95`"));
    };
    let percent = Percent::parse(percent_text).ok_or_else(|| {
        let message = format!("`--percentile {word}`: `{percent_text}` is no percentage of 0 to 100");
        Failure::usage_hint(message, "for example `--percentile bytes:95`, with up to three decimals")
    })?;
    let (counter, span) = match counter.split_once('@') {
        Some((counter, width)) => {
            (counter, Some(Bucket::parse(width, &format!("--percentile {counter}@"), zone)?))
        }
        None => (counter, None),
    };
    let known = if span.is_some() { &Quantity::OF_SPANS[..] } else { &Quantity::ALL };
    let quantity = known.iter().copied().find(|known| known.word() == counter).ok_or_else(|| {
        let hint = match nearest(counter, known.iter().map(|known| known.word())) {
            Some(meant) => {
                format!("did you mean `{}`?", word.to_ascii_lowercase().replacen(counter, meant, 1))
            }
            None => {
                let words: Vec<_> = known.iter().map(|known| known.word()).collect();
                format!("one of {}", words.join(", "))
            }
        };
        Failure::usage_hint(format!("`--percentile {word}`: no counter is called `{counter}`"), hint)
    })?;
    let tail = percent_text.replace('.', "_");
    let (what, name, title) = match span {
        None => (
            What::Percentile(quantity, percent),
            format!("{counter}_p{tail}"),
            format!("{counter} p{percent_text}"),
        ),
        Some(bucket) => (
            What::OfSpans(quantity, bucket, percent),
            format!("{counter}_{}_p{tail}", bucket.word()),
            format!("{counter}@{} p{percent_text}", bucket.word()),
        ),
    };
    Ok(Measure { what, word: format!("{PERCENTILE}:{lower}"), name, title })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(distinct: &str, percentile: &str) -> Result<Measures, String> {
        let list = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        let (distinct, percentile) = (list(distinct), list(percentile));
        let asked = Asked { bucket: Some("5m"), distinct: &distinct, percentile: &percentile, error: true };
        Measures::parse(asked, Zone::Utc, &Columns::default()).map_err(|error| match error.failure {
            Failure::Usage { message, hint } => format!("{message}; {}", hint.unwrap_or_default()),
            other => format!("{other:?}"),
        })
    }

    #[track_caller]
    fn check(distinct: &str, percentile: &str, expected: &str) {
        let shown = match parsed(distinct, percentile) {
            Ok(measures) => {
                let column = |one: &Measure| format!("{} {} `{}`", one.word, one.name, one.title);
                measures.list.iter().map(column).collect::<Vec<_>>().join(", ")
            }
            Err(said) => said,
        };
        assert_eq!(shown, expected, "{distinct} {percentile}");
    }

    #[test]
    fn columns_have_words_names_and_titles() {
        let error = "error error_percent `Error(%)`";
        check("", "", error);
        check(
            "dstport,src_addr,DstPort",
            "",
            &format!(
                "distinct:dstport distinct_dst_port `Distinct Dst Port`, \
                 distinct:src_addr distinct_src_addr `Distinct Src IP Addr`, {error}"
            ),
        );
        check(
            "",
            "bytes:95, bps:99.9,bps@5m:95",
            &format!(
                "percentile:bytes:95 bytes_p95 `bytes p95`, percentile:bps:99.9 bps_p99_9 `bps p99.9`, \
                 percentile:bps@5m:95 bps_5m_p95 `bps@5m p95`, {error}"
            ),
        );
    }

    #[test]
    fn orders_are_found_by_any_of_their_names() {
        let measures = parsed("dstport,proto", "bytes:95").unwrap();
        for (word, expected) in [
            ("bucket", Some(Order::Bucket)),
            ("distinct", Some(Order::Measure(0))),
            ("distinct:proto", Some(Order::Measure(1))),
            ("distinct_protocol", Some(Order::Measure(1))),
            ("percentile", Some(Order::Measure(2))),
            ("percentile:bytes:95", Some(Order::Measure(2))),
            ("error", Some(Order::Measure(3))),
            ("distinct:srcip", None),
        ] {
            assert_eq!(measures.order(word), expected, "{word}");
        }
        assert_eq!(Measures::default().order("bucket"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("dstprot", "", "unknown column `dstprot` in `--distinct`; did you mean `dstport`?");
        check(
            "mpls_labels",
            "",
            "`mpls_labels` has no single value that `--distinct` could count; \
            numbers, addresses and texts have",
        );
        let example = "for example `--percentile bytes:95`";
        check("", "bytes", &format!("`--percentile bytes` says no percentage; {example}"));
        let hint = format!("{example}, with up to three decimals");
        for text in ["101", "100.001", "-5", "95.1234", "", "1e1"] {
            let said = format!("`--percentile bytes:{text}`: `{text}` is no percentage of 0 to 100; {hint}");
            check("", &format!("bytes:{text}"), &said);
        }
        check("", "byte:95", "`--percentile byte:95`: no counter is called `byte`; did you mean `bytes:95`?");
        check(
            "",
            "duration@5m:95",
            "`--percentile duration@5m:95`: no counter is called `duration`; \
             one of bytes, packets, bps, pps",
        );
        check(
            "",
            "bps@5x:95",
            "`--percentile bps@5x` has no unit: one of s, m, h, d; \
             for example `--percentile bps@5m`, `1h` or `1d`",
        );
    }

    #[test]
    fn the_nearest_rank_is_one_of_the_values() {
        let rank = |text: &str, n: u64| Percent::parse(text).unwrap().rank(n);
        for (text, n, expected) in [
            ("0", 10, 1),
            ("50", 10, 5),
            ("50", 11, 6),
            ("95", 20, 19),
            ("95", 21, 20),
            ("95", 1, 1),
            ("100", 7, 7),
            ("99.9", 1_000, 999),
            ("99.9", 1_001, 1_000),
            ("100", u64::MAX, u64::MAX),
        ] {
            assert_eq!(rank(text, n), expected, "{text} of {n}");
        }
    }
}
