//! Answers of both programs in one form: rows of cells that mean the same where they are
//! spelled the same.

use std::collections::BTreeMap;
use std::net::IpAddr;

use flow_tests::nfcapd::JSON_COLUMNS;

/// How an answer is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Times that name flows, in any order.
    Flows,
    /// Rows for people, in any order; blanks between cells don't matter.
    Lines,
    /// A table of `-s`: the first `top`.
    Statistic {
        rank: Rank,
        top: usize,
    },
    /// A table of `-A`: the first `top`; 0 is all.
    Groups {
        rank: Rank,
        top: usize,
    },
    Csv,
    Json,
    Raw,
}

/// The cell rows are ranked by; from the end, as those before it may be many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    FromEnd(usize),
    /// Packets a second, which rows of `-A` don't show.
    Pps,
    Start,
    End,
    Duration,
}

impl Rank {
    /// `flows packets bytes pps bps bpp`, or of records `packets bytes pps bps bpp flows`.
    pub(crate) fn of_statistic(order: &str, is_of_records: bool) -> Self {
        let counters = ["flows", "packets", "bytes", "pps", "bps", "bpp"];
        let of_records = ["packets", "bytes", "pps", "bps", "bpp", "flows"];
        let counters = if is_of_records { of_records } else { counters };
        let order = order.to_ascii_lowercase().replace("pkg", "packets");
        let order = if order.ends_with("byte") { format!("{order}s") } else { order };
        let at = counters.iter().position(|name| order == *name || order.get(1..) == Some(name));
        Self::FromEnd(counters.len() - at.unwrap_or(0))
    }

    /// `packets bytes bps bpp flows`; there are no packets a second.
    pub(crate) fn of_groups(order: &str) -> Self {
        let order = order.split(':').next().unwrap();
        match order {
            "tstart" => Self::Start,
            "tend" => Self::End,
            "duration" => Self::Duration,
            "pps" | "ipps" | "opps" => Self::Pps,
            _ => {
                let counters = ["packets", "bytes", "bps", "bpp", "flows"];
                let at = counters.iter().position(|name| order == *name || order.get(1..) == Some(name));
                at.map_or(Self::FromEnd(0), |at| Self::FromEnd(counters.len() - at))
            }
        }
    }

    /// What a row is ranked by; `None` where it is not shown.
    pub(crate) fn of(self, row: &[String]) -> Option<i64> {
        let millis = |text: &str| text.replacen(['.', ':'], "", 8).parse::<i64>().ok();
        let duration = || millis(row.get(2)?);
        let start = || {
            let text = format!("{}T{}", row.first()?, row.get(1)?);
            let time = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
            Some(time.and_utc().timestamp_millis())
        };
        match self {
            Self::FromEnd(0) => None,
            Self::FromEnd(n) => {
                let cell = row.get(row.len().checked_sub(n)?)?;
                cell.split('(').next()?.parse().ok()
            }
            Self::Pps => {
                let packets: i64 = row.get(row.len().checked_sub(5)?)?.parse().ok()?;
                Some((packets * 1_000).checked_div(duration()?).unwrap_or(0))
            }
            Self::Start => start(),
            Self::End => Some(start()? + duration()?),
            Self::Duration => duration(),
        }
    }
}

/// An answer: rows of cells, and what each is ranked by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<String>>,
    ranks: Vec<i64>,
    /// There may be more of the last rank.
    is_cut: bool,
}

impl Answer {
    /// Whether its rows are in order, and none ranks below that of another answer.
    pub(crate) fn outranks(&self, other: &Self) -> Result<(), String> {
        let is_sorted = self.ranks.is_sorted_by(|a, b| a >= b);
        // Theirs are in no order.
        let mut theirs = other.ranks.clone();
        theirs.sort_unstable_by(|a, b| b.cmp(a));
        let is_above = self.ranks.iter().zip(&theirs).all(|(ours, theirs)| ours >= theirs);
        let is_it = is_sorted && is_above && self.ranks.len() == other.ranks.len();
        if is_it { Ok(()) } else { Err("it is not the better order".to_owned()) }
    }
}

/// Reads what a program printed; `table` is the order of one of its tables.
pub(crate) fn read(text: &str, shape: Shape, table: Option<&str>) -> Answer {
    let lines = text.lines().filter(|line| *line != "No matching flows");
    match shape {
        Shape::Flows => sorted(
            lines.map(str::trim).filter(|line| !line.is_empty()).map(|line| vec![line.to_owned()]).collect(),
        ),
        Shape::Lines => sorted(lines.filter(|line| is_about_flows(line)).map(cells).collect()),
        Shape::Statistic { rank, top } => ranked(tables(text, table, statistic_row), rank, top),
        Shape::Groups { rank, top } => {
            let rows = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
            ranked(rows.map(group_row).collect(), rank, top)
        }
        Shape::Csv => sorted(csv(text)),
        Shape::Json => sorted(json(text)),
        Shape::Raw => sorted(raw(text)),
    }
}

/// What is said about the run is another each time.
fn is_about_flows(line: &str) -> bool {
    let of_run = ["Time window: ", "Total flows processed: ", "Total records processed: ", "Sys: "];
    !line.trim().is_empty() && !of_run.iter().any(|start| line.starts_with(start))
}

fn sorted(mut rows: Vec<Vec<String>>) -> Answer {
    rows.sort();
    Answer { rows, ..Answer::default() }
}

fn ranked(rows: Vec<Vec<String>>, rank: Rank, top: usize) -> Answer {
    let ranks = rows.iter().filter_map(|row| rank.of(row)).collect();
    Answer { is_cut: top > 0 && rows.len() >= top, rows, ranks }
}

fn cells(line: &str) -> Vec<String> {
    line.replace("( ", "(").split_whitespace().map(plain).collect()
}

/// One spelling of an address, and of TCP flags: with `-N` 1.7.8 prints a number, as we do, 1.7.1
/// letters.
fn plain(cell: &str) -> String {
    const LETTERS: &str = "CEUAPRSF";
    if cell.len() == LETTERS.len()
        && cell.chars().zip(LETTERS.chars()).all(|(c, letter)| c == '.' || c == letter)
    {
        return cell.chars().fold(0, |flags, c| flags << 1 | u8::from(c != '.')).to_string();
    }
    cell.parse::<IpAddr>().map_or_else(|_| cell.to_owned(), |addr| addr.to_string())
}

/// Date, time, duration, protocol, value, then six counters. A value may be empty or have blanks.
fn statistic_row(line: &str) -> Vec<String> {
    let cells = cells(line);
    if cells.len() < 10 || line.contains(" -> ") {
        return cells;
    }
    let (head, rest) = cells.split_at(4);
    let (value, counters) = rest.split_at(rest.len() - 6);
    head.iter().cloned().chain([value.join(" ")]).chain(counters.iter().cloned()).collect()
}

/// The rows of one of the tables, or of all.
fn tables(text: &str, table: Option<&str>, row: fn(&str) -> Vec<String>) -> Vec<Vec<String>> {
    let mut is_it = table.is_none();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let (Some(order), Some(table)) =
            (line.strip_suffix(':').and_then(|line| line.split(" ordered by ").nth(1)), table)
        {
            is_it = order == table;
        } else if is_it && line.starts_with(|c: char| c.is_ascii_digit()) {
            rows.push(row(line));
        }
    }
    rows
}

/// Where a protocol is among the keys, nfdump prints type and code of ICMP as `8.0`.
fn group_row(line: &str) -> Vec<String> {
    let mut cells = cells(line);
    let n_keys = cells.len().saturating_sub(5);
    for cell in cells.iter_mut().take(n_keys).skip(3) {
        if let Some((icmp_type, code)) = cell.split_once('.')
            && let (Ok(icmp_type), Ok(code)) = (icmp_type.parse::<u16>(), code.parse::<u16>())
        {
            *cell = (icmp_type * 256 + code).to_string();
        }
    }
    cells
}

/// nfdump's columns and ours.
const CSV: [(&str, &str); 9] = [
    ("ts", "flow_start"),
    ("td", "duration"),
    ("pr", "protocol"),
    ("sa", "src_addr"),
    ("sp", "src_port"),
    ("da", "dst_addr"),
    ("dp", "dst_port"),
    ("ipkt", "packets"),
    ("ibyt", "bytes"),
];

const PROTOCOLS: [(&str, &str); 7] = [
    ("ICMP", "1"),
    ("TCP", "6"),
    ("UDP", "17"),
    ("IPv6", "41"),
    ("IPV6", "41"),
    ("GRE", "47"),
    ("ICMP6", "58"),
];

/// The columns both have; times to the second, as nfdump has them.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines();
    let head: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
    let at = |(theirs, ours): (&str, &str)| head.iter().position(|name| *name == theirs || *name == ours);
    let places: Vec<_> = CSV.into_iter().map(at).collect();
    let rows = lines.take_while(|line| *line != "Summary").filter(|line| line.starts_with("20"));
    rows.map(|line| {
        let cells: Vec<_> = line.split(',').map(str::trim).collect();
        let cell = |(place, (name, _)): (&Option<usize>, (&str, &str))| {
            let text = place.and_then(|place| cells.get(place).copied()).unwrap_or("?");
            match name {
                "ts" => text.get(..19).unwrap_or(text).replace('T', " "),
                "pr" => PROTOCOLS
                    .iter()
                    .find(|(name, _)| *name == text)
                    .map_or(text, |(_, number)| *number)
                    .to_owned(),
                _ => plain(text),
            }
        };
        places.iter().zip(CSV).map(cell).collect()
    })
    .collect()
}

/// More of its names, where the value is spelled otherwise.
const JSON_OTHER: [(&str, &str); 3] =
    [("first", "flow_start"), ("last", "flow_end"), ("tcp_flags", "tcp_flags")];

/// One object a row, its members by our names. Zero is "nothing", which nfdump does not have.
fn json(text: &str) -> Vec<Vec<String>> {
    let array = |text: &str| serde_json::from_str::<Vec<serde_json::Value>>(text).ok();
    // With `-q` 1.7.1 leaves the brackets out.
    let values = array(text).or_else(|| array(&format!("[{text}]")));
    let lines = || text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let values = values.unwrap_or_else(lines);
    let row = |value: &serde_json::Value| {
        let mut members = BTreeMap::new();
        for (theirs, ours) in JSON_COLUMNS.iter().copied().chain(JSON_OTHER) {
            let value = if value[theirs].is_null() { &value[ours] } else { &value[theirs] };
            let text = match value {
                serde_json::Value::String(text) => text.trim_end_matches('Z').to_owned(),
                serde_json::Value::Number(number) if ours == "tcp_flags" => {
                    letters(number.as_u64().unwrap_or(0))
                }
                serde_json::Value::Number(number) => number.to_string(),
                _ => continue,
            };
            // A record that does not say so stands for one flow.
            if !is_nothing(&text) && (ours, text.as_str()) != ("flows", "1") {
                members.insert(ours, text);
            }
        }
        // Type and code stand for ports.
        if matches!(members.get("protocol").map(String::as_str), Some("1" | "58")) {
            members.retain(|name, _| !name.ends_with("_port") || name.starts_with("post"));
        } else {
            members.retain(|name, _| !name.starts_with("icmp"));
        }
        labels(value, &mut members);
        let row = members.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        led_by("flow_start=", row)
    };
    values.iter().map(row).collect()
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "0" | "0.0.0.0" | "::" | "00:00:00:00:00:00" | "........" | "0-0-0")
}

/// The eight flags nfdump knows.
fn letters(flags: u64) -> String {
    "CEUAPRSF".chars().enumerate().map(|(bit, c)| if flags >> (7 - bit) & 1 == 1 { c } else { '.' }).collect()
}

fn labels(value: &serde_json::Value, members: &mut BTreeMap<&str, String>) {
    let mut theirs: Vec<_> =
        (1..=10).filter_map(|n| value[format!("mpls_{n}")].as_str().map(str::to_owned)).collect();
    while theirs.pop_if(|label| label == "0-0-0").is_some() {}
    let ours = value["mpls_labels"].as_array().into_iter().flatten();
    let ours = ours.map(|label| label.as_str().map_or_else(|| label.to_string(), str::to_owned));
    let all: Vec<_> = theirs.into_iter().chain(ours).collect();
    if !all.is_empty() {
        members.insert("mpls_labels", all.join(","));
    }
}

/// Of `raw`: what is about nfdump's files or about the run.
const RAW_INTERNAL: [&str; 8] =
    ["RecordCount", "Flags", "Elements", "size", "engine type", "engine ID", "export sysid", "received at"];

/// What only flowcap stores.
const RAW_OURS: [&str; 5] = ["Ident", "version", "observation domainID", "sequence", "export time"];

/// Keys of 1.7.1 that are others in 1.7.8, which ours follow.
const RAW_RENAMED: [(&str, &str); 2] = [("src vlan", "vlanID"), ("dst vlan", "post vlanID")];

/// One record a row, its keys in order, but for what is nothing.
fn raw(text: &str) -> Vec<Vec<String>> {
    let records = text.split("Flow Record:").skip(1);
    let row = |record: &str| {
        let pairs = record.lines().filter_map(|line| line.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.trim(), value.split_whitespace().collect::<Vec<_>>()));
        let kept = pairs.filter(|(key, value)| {
            !RAW_INTERNAL.contains(key)
                && !RAW_OURS.contains(key)
                && !value.first().is_none_or(|value| is_nothing(value) || *value == "0x00")
                // 1.7.1 counts one wherever it stores counters of the other direction.
                && (*key, &value[..]) != ("aggr flows", &["1"])
        });
        let mut row: Vec<_> = kept
            .map(|(key, value)| {
                let key =
                    RAW_RENAMED.iter().find(|(theirs, _)| *theirs == key).map_or(key, |(_, ours)| *ours);
                let key = key.split_whitespace().collect::<Vec<_>>().join(" ");
                // 1.7.1 has no word after it.
                let n = if key == "direction" { 1 } else { value.len() };
                format!("{key}={}", value[..n].join(" "))
            })
            .collect();
        row.sort();
        led_by("first=", row)
    };
    records.map(row).collect()
}

/// The row with its cell of this name in front: rows of one flow get one place.
fn led_by(name: &str, mut row: Vec<String>) -> Vec<String> {
    if let Some(at) = row.iter().position(|cell| cell.starts_with(name)) {
        row[..=at].rotate_right(1);
    }
    row
}

/// Whether two texts of [`Shape::Flows`] name the same flows, told without reading them as rows,
/// of which there may be very many.
pub(crate) fn is_same_flows(theirs: &str, ours: &str) -> bool {
    if theirs.len() != ours.len() {
        return false;
    }
    let mut seen = vec![0_u8; crate::flows::N_FLOWS];
    for (text, side) in [(theirs, 1), (ours, 2)] {
        for line in text.lines() {
            match place(line).and_then(|place| seen.get_mut(place)) {
                Some(seen) if *seen & side == 0 => *seen |= side,
                _ => return false,
            }
        }
    }
    !seen.iter().any(|sides| matches!(sides, 1 | 2))
}

/// The number of the flow that began at `2026-11-21 12:MM:SS.mmm`.
pub(crate) fn place(line: &str) -> Option<usize> {
    let clock = line.trim_end().strip_prefix("2026-11-21 12:")?.as_bytes();
    let number = |from: usize, to: usize| {
        clock
            .get(from..to)?
            .iter()
            .try_fold(0, |n, digit| digit.is_ascii_digit().then(|| n * 10 + usize::from(digit - b'0')))
    };
    let millis = number(0, 2)? * 60_000 + number(3, 5)? * 1_000 + number(6, 9)?;
    let step = crate::flows::STEP_MS as usize;
    (millis.is_multiple_of(step) && clock.len() == 9).then_some(millis / step)
}

/// Whether two answers say the same; if not, where they differ first.
pub(crate) fn compare(theirs: &Answer, ours: &Answer) -> Result<(), String> {
    if theirs.ranks != ours.ranks {
        let at = theirs.ranks.iter().zip(&ours.ranks).position(|(a, b)| a != b);
        let at = at.unwrap_or(theirs.ranks.len().min(ours.ranks.len()));
        return Err(differing(theirs, ours, at));
    }
    let above = |answer: &Answer| {
        let last = answer.ranks.last().filter(|_| answer.is_cut && answer.ranks.len() == answer.rows.len());
        let mut rows: Vec<_> =
            answer.rows.iter().zip(answer.ranks.iter().map(Some).chain(std::iter::repeat(None))).collect();
        rows.retain(|(_, rank)| rank.is_none() || *rank != last);
        let mut rows: Vec<_> = rows.into_iter().map(|(row, _)| row.clone()).collect();
        rows.sort();
        rows
    };
    let (rows_theirs, rows_ours) = (above(theirs), above(ours));
    if rows_theirs == rows_ours && theirs.rows.len() == ours.rows.len() {
        return Ok(());
    }
    let sorted = |rows| Answer { rows, ..Answer::default() };
    let at = rows_theirs.iter().zip(&rows_ours).position(|(a, b)| a != b);
    let at = at.unwrap_or(rows_theirs.len().min(rows_ours.len()));
    Err(differing(&sorted(rows_theirs), &sorted(rows_ours), at))
}

fn differing(theirs: &Answer, ours: &Answer, at: usize) -> String {
    let row = |answer: &Answer| answer.rows.get(at).map_or("none".to_owned(), |row| row.join(" "));
    format!(
        "{} rows against {}, row {}:\n      nfdump   {}\n      flowdump {}",
        theirs.rows.len(),
        ours.rows.len(),
        at + 1,
        row(theirs),
        row(ours)
    )
}

/// How both print the time of a flow that tells it from all others.
pub(crate) fn time_text(millis: u64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(millis.cast_signed()).unwrap();
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP_2: Shape = Shape::Statistic { rank: Rank::FromEnd(6), top: 2 };

    #[track_caller]
    fn check(shape: Shape, theirs: &str, ours: &str, is_equal: bool) {
        let compared = compare(&read(theirs, shape, None), &read(ours, shape, None));
        assert_eq!(compared.is_ok(), is_equal, "{compared:?}");
    }

    /// A row of a statistic: a value and its flows.
    fn row(value: &str, flows: u32) -> String {
        format!("2026-11-21 12:00:00.000  1.000 any {value} {flows}( 0.1) 2( 1.0) 3( 0.1) 2 24 1\n")
    }

    #[test]
    fn blanks_and_the_spelling_of_addresses_and_flags_do_not_matter() {
        check(Shape::Lines, "TCP  2001:DB8:0::1  ...AP.SF", "TCP 2001:db8::1 27", true);
        check(Shape::Lines, "a 1\nb 2\nSys: 0.01s\n", "b 2\na 1\nSys: 0.02s\n", true);
        check(Shape::Lines, "a 1\nb 2\n", "a 1\nb 3\n", false);
        check(Shape::Lines, "a 1\na 1\n", "a 1\n", false);
    }

    #[test]
    fn rows_of_equal_rank_have_no_order_and_the_last_may_be_others() {
        let two = |a: (&str, u32), b: (&str, u32)| row(a.0, a.1) + &row(b.0, b.1);
        check(TOP_2, &two(("1", 9), ("2", 9)), &two(("2", 9), ("1", 9)), true);
        check(TOP_2, &two(("1", 9), ("2", 5)), &two(("1", 9), ("3", 5)), true);
        check(TOP_2, &two(("1", 9), ("2", 5)), &two(("2", 9), ("1", 5)), false);
        check(TOP_2, &two(("1", 9), ("2", 5)), &two(("2", 5), ("1", 9)), false);
        check(TOP_2, &two(("1", 9), ("2", 5)), &row("1", 9), false);
    }

    #[test]
    fn flows_are_the_same_in_any_order_but_each_once() {
        let time = |n: u64| time_text(crate::flows::START_MS + 6 * n) + "\n";
        let check = |theirs: &[u64], ours: &[u64], expected| {
            let text = |flows: &[u64]| flows.iter().map(|n| time(*n)).collect::<String>();
            assert_eq!(is_same_flows(&text(theirs), &text(ours)), expected, "{theirs:?} {ours:?}");
        };
        check(&[0, 99_999], &[99_999, 0], true);
        check(&[0, 1], &[0, 2], false);
        check(&[0, 1], &[0], false);
        check(&[0, 0], &[0, 0], false);
        assert!(!is_same_flows("2026-11-21 12:00:00.001", "2026-11-21 12:00:00.001"));
    }

    #[test]
    fn formats_of_both_are_read_alike() {
        let theirs = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt\n\
                      2026-11-21 12:00:00,2026-11-21 12:00:00,0.491,192.0.2.1,192.0.2.2,5,6,UDP,,2,148\nSummary\n";
        let ours = "flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows\n\
                    2026-11-21T12:00:00.123Z,0.491,17,192.0.2.1,5,192.0.2.2,6,2,148,1\n";
        check(Shape::Csv, theirs, ours, true);
        check(Shape::Csv, theirs, &ours.replace("148", "149"), false);
        let theirs = r#"{"proto" : 6, "src4_addr" : "192.0.2.1", "tcp_flags" : "......S.", "mpls_1" : "16-0-1", "src_as": 0}"#;
        let ours = r#"{"protocol":6,"src_addr":"192.0.2.1","tcp_flags":2,"mpls_labels":["16-0-1"]}"#;
        check(Shape::Json, theirs, ours, true);
        check(Shape::Json, theirs, &ours.replace(":2", ":3"), false);
        let theirs = "Flow Record:\n  size = 9\n  first = 1\n  src vlan = 10\n  src as = 0\n";
        check(Shape::Raw, theirs, "Flow Record:\n  Ident = test\n  first = 1\n  vlanID = 10\n", true);
        check(Shape::Raw, theirs, "Flow Record:\n  Ident = test\n  first = 1\n  vlanID = 11\n", false);
    }
}
