//! One question from a seed: its command line, and whether `flowdump` answers as the
//! reference does.

use flow_common::column::{COLUMNS, ColumnId as Id};
use serde_json::Value;

use super::answer::{self, csv_records, fields, object};
use super::filter::Node;
use super::grammar::Grammar;
use super::row::{Place, Row};
use super::statistic::{self, Key, Table, Wanted, elements};
use super::tree::Tree;
use super::{generate, value};
use crate::mutate::Xorshift;
use crate::query::{Output, flowdump};

/// What is asked of the rows that match.
#[derive(Debug, Clone)]
enum Question {
    Rows,
    Tables(Vec<Table>, usize),
}

/// One question.
#[derive(Debug, Clone)]
pub struct Case {
    /// All of the command line but the tree.
    pub args: Vec<String>,
    node: Node,
    is_scaled: bool,
    /// Rows after which to stop.
    limit: Option<usize>,
    question: Question,
    format: &'static str,
}

/// How a case went.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// Rows that matched.
    pub matched: usize,
    /// Rows of the answer.
    pub answered: usize,
}

/// Whether this `flowdump` has an option.
pub fn is_known(tree: &Tree, option: &[&str]) -> bool {
    flowdump(tree.root(), &[option, &["-Z"]].concat()).code == 0
}

impl Case {
    /// The question of `seed` to `tree`; `options` are appended and change no answer.
    pub fn new(seed: u64, tree: &Tree, options: &[String]) -> Self {
        let random = &mut Xorshift::new(seed);
        let is_scaled = random.below(4) > 0;
        let mut args = Vec::new();
        if !is_scaled {
            args.push("--no-scale".to_owned());
        }
        let grammar = Grammar::new(&tree.extra, tree.rows_of(is_scaled));
        let (mut node, text) = match random.below(8) {
            0 => (Node::Any, String::new()),
            n => grammar.filter(n.min(3), random),
        };
        if random.below(5) == 0 {
            let (window, text) = window(random);
            node = Node::And(vec![window, node]);
            args.extend(["-t".to_owned(), text]);
        }
        let limit = (random.below(6) == 0).then(|| 1 + random.below(tree.rows().max(1)));
        if let Some(limit) = limit {
            args.extend(["-c".to_owned(), limit.to_string()]);
        }
        let format = ["csv", "ndjson", "ndjson", "json"][random.below(4)];
        let mut question =
            if random.below(5) < 2 { Question::Rows } else { tables(tree, format, &mut args, random) };
        if let Question::Tables(tables, _) = &mut question {
            // Of its own, so that the rest of the question is that of its seed.
            let random = &mut Xorshift::new(seed ^ 0x505);
            if random.below(3) == 0 {
                let (wanted, text) = Wanted::any(random);
                tables.iter_mut().for_each(|table| table.wanted = Some(wanted.clone()));
                args.extend(["-P".to_owned(), text]);
            }
        }
        args.extend(["-o".to_owned(), format.to_owned()]);
        args.extend(options.iter().cloned());
        args.extend(["--".to_owned(), text]);
        Self { args, node, is_scaled, limit, question, format }
    }

    /// The same for the rows themselves.
    fn of_rows(&self) -> Self {
        let mut args = Vec::new();
        let mut rest = self.args.iter().cloned();
        while let Some(arg) = rest.next() {
            match arg.as_str() {
                "-s" | "-n" | "-o" | "-P" => drop(rest.next()),
                _ => args.push(arg),
            }
        }
        args.splice(0..0, ["-o".to_owned(), "ndjson".to_owned()]);
        Self { args, question: Question::Rows, format: "ndjson", ..self.clone() }
    }

    fn matching<'a>(&self, tree: &'a Tree) -> Vec<&'a Row> {
        let rows = tree.rows_of(self.is_scaled).iter().filter(|row| self.node.holds(row));
        rows.take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

/// A window of up to some minutes.
fn window(random: &mut Xorshift) -> (Node, String) {
    let start = (generate::START_SECS - 60) * 1_000_000 + random.below(600_000_000) as i64;
    let end = start + random.below(900_000_000) as i64;
    (Node::Window(start, end), format!("{}..{}", value::time(start), value::time(end)))
}

/// One to three statistics with some orders.
fn tables(tree: &Tree, format: &str, args: &mut Vec<String>, random: &mut Xorshift) -> Question {
    let elements = elements(&tree.extra);
    // In CSV a table of records stands alone.
    let count = if format == "csv" { 1 } else { 1 + random.below(3) };
    let mut tables = Vec::new();
    for _ in 0..count {
        let (word, key) = match random.below(3) {
            0 => elements[random.below(1 + 8)].clone(),
            _ => elements[random.below(elements.len())].clone(),
        };
        let is_by_protocol = key != Key::Record && random.below(4) == 0;
        let n_orders = if format == "csv" && key == Key::Record { 1 } else { 1 + random.below(2) };
        let mut text = format!("{word}{}", if is_by_protocol { ":p" } else { "" });
        for n in 0..n_orders {
            let order = ["flows", "packets", "bytes", "bytes", "pps", "bps", "bpp"][random.below(7)];
            let is_ascending = random.below(6) == 0;
            // Without an order it is flows, descending.
            let is_said = n > 0 || n_orders > 1 || order != "flows" || is_ascending || random.below(2) == 0;
            if is_said {
                text += &format!("/{order}{}", if is_ascending { ":a" } else { "" });
            }
            let (word, key, wanted) = (word.clone(), key.clone(), None);
            tables.push(Table { word, key, is_by_protocol, order, is_ascending, wanted });
        }
        args.extend(["-s".to_owned(), text]);
    }
    let top = match random.below(4) {
        0 => 10,
        1 => 0,
        _ => 1 + random.below(30),
    };
    if top != 10 || random.below(2) == 0 {
        args.extend(["-n".to_owned(), top.to_string()]);
    }
    Question::Tables(tables, top)
}

/// Bits that are kept of addresses: of IPv4, of IPv6.
type Kept = Option<(u32, u32)>;

/// Keys of `-A`: their words, the column and what is kept of it.
const KEYS: [(&str, Id, Kept); 9] = [
    ("srcip", Id::SrcAddr, None),
    ("dstip", Id::DstAddr, None),
    ("srcip4/24,srcip6/48", Id::SrcAddr, Some((24, 48))),
    ("dstip4/16,dstip6/64", Id::DstAddr, Some((16, 64))),
    ("srcport", Id::SrcPort, None),
    ("dstport", Id::DstPort, None),
    ("proto", Id::Protocol, None),
    ("inif", Id::InIf, None),
    ("srcas", Id::SrcAs, None),
];

/// Asks for flows aggregated by keys of the seed's choice, in the order of their octets,
/// and compares what they add up to; the error says both answers.
pub fn check_aggregated(seed: u64, tree: &Tree, options: &[String]) -> Result<Verdict, String> {
    let random = &mut Xorshift::new(seed);
    let keys: Vec<_> = KEYS.iter().filter(|_| random.below(4) == 0).collect();
    let keys = if keys.is_empty() { vec![&KEYS[random.below(KEYS.len())]] } else { keys };
    let (node, text) = Grammar::new(&tree.extra, tree.rows_of(true)).filter(2, random);
    let words = keys.iter().map(|(word, ..)| *word).collect::<Vec<_>>().join(",");
    let fixed = ["-A", &words, "-O", "bytes", "-n", "0", "-o", "ndjson"];
    let args: Vec<&str> =
        fixed.into_iter().chain(options.iter().map(String::as_str)).chain(["--", &text]).collect();
    let output = flowdump(tree.root(), &args);
    let rows: Vec<&Row> = tree.rows_of(true).iter().filter(|row| node.holds(row)).collect();
    let columns = keys.iter().map(|(_, id, bits)| (*id as usize, *bits)).collect::<Vec<_>>();
    let mut expected = statistic::aggregated(&rows, &columns);
    let parsed: Result<Vec<Value>, _> = output.stdout.lines().map(serde_json::from_str).collect();
    let failed = |what: String| format!("{}: flowdump {args:?}\n{what}\n{}", tree.name, output.stderr);
    let Ok(found) = parsed else { return Err(failed(format!("no JSON: {}", output.stdout))) };
    let count = |row: &Value, name: &str| row[name].as_u64().unwrap_or(u64::MAX);
    let mut found: Vec<_> =
        found.iter().map(|row| ["bytes", "packets", "flows"].map(|name| count(row, name))).collect();
    if output.code != 0 || !found.is_sorted_by(|a, b| a[0] >= b[0]) {
        return Err(failed(format!("exit {}, bytes {found:?}", output.code)));
    }
    // How ties are broken is no part of this.
    expected.sort_unstable();
    found.sort_unstable();
    let answered = same(expected, found).map_err(failed)?;
    Ok(Verdict { matched: rows.len(), answered })
}

/// Asks `flowdump` and compares; the error says both answers, of a statistic also
/// whether it is the rows that differ.
pub fn check(tree: &Tree, case: &Case) -> Result<Verdict, String> {
    ask(tree, case).map_err(|message| match &case.question {
        Question::Rows => message,
        Question::Tables(..) => match ask(tree, &case.of_rows()) {
            Ok(_) => format!("{message}\n(its rows are the same)"),
            Err(of_rows) => format!("{message}\n(its rows differ)\n{of_rows}"),
        },
    })
}

fn ask(tree: &Tree, case: &Case) -> Result<Verdict, String> {
    let args: Vec<&str> = case.args.iter().map(String::as_str).collect();
    let output = flowdump(tree.root(), &args);
    let rows = case.matching(tree);
    let failed = |what: String| {
        let shown: Vec<_> = case.args.iter().map(|arg| format!("{arg:?}")).collect();
        format!("{}: flowdump {}\n{what}\n--- stderr\n{}", tree.name, shown.join(" "), output.stderr)
    };
    let is_quiet = output.stderr.lines().all(|line| line.starts_with("note: "));
    if output.code != 0 || !is_quiet {
        return Err(failed(format!("exit {}, {} rows match\n{:?}", output.code, rows.len(), case.node)));
    }
    let answered = match &case.question {
        Question::Rows if case.format == "csv" => csv_rows(tree, &rows, &output),
        Question::Rows => {
            let expected = rows.iter().map(|row| object(row, &tree.extra)).collect();
            same_objects(expected, &output, case.format)
        }
        Question::Tables(tables, top) if case.format == "csv" => {
            let is_of_records = tables.iter().any(|table| table.key == Key::Record);
            let header = if is_of_records { answer::CSV_HEADER } else { statistic::CSV_HEADER };
            let lines = tables.iter().flat_map(|table| table.lines(&rows, *top));
            let lines: Vec<String> = std::iter::once(header.to_owned()).chain(lines).collect();
            let found = csv_records(&output.stdout);
            let expected = lines.iter().map(|line| csv_records(&format!("{line}\n")).remove(0)).collect();
            same(expected, found)
        }
        Question::Tables(tables, top) => {
            let expected = tables.iter().flat_map(|table| table.objects(&rows, *top)).collect();
            same_objects(expected, &output, case.format)
        }
    };
    let answered = answered.map_err(|what| failed(format!("{what}\n{:?}", case.node)))?;
    Ok(Verdict { matched: rows.len(), answered })
}

/// Columns of the tree's own may come in any order: the header names them.
fn csv_rows(tree: &Tree, rows: &[&Row], output: &Output) -> Result<usize, String> {
    let mut found = csv_records(&output.stdout);
    if found.is_empty() {
        return Err("no header".to_owned());
    }
    let header = found.remove(0);
    let of_table = answer::CSV_HEADER.split(',').map(str::to_owned);
    let known: Vec<String> = of_table.chain(tree.extra.iter().map(|column| column.name.clone())).collect();
    let places: Option<Vec<Place>> =
        header.iter().map(|name| known.iter().position(|column| column == name)).collect();
    let Some(places) = places.filter(|places| places[..10].iter().copied().eq(0..10)) else {
        return Err(format!("header {header:?}"));
    };
    // A column no file has is not in the header.
    let n_of_table = COLUMNS.len();
    let is_missing = |(at, _): &(usize, _)| !places.contains(&(10 + at));
    for (at, column) in tree.extra.iter().enumerate().filter(is_missing) {
        if rows.iter().any(|row| row.cell(n_of_table + at).is_some()) {
            return Err(format!("no column `{}`", column.name));
        }
    }
    let expected = rows.iter().map(|row| {
        let fields = fields(row, &tree.extra);
        places.iter().map(|place| fields[*place].clone()).collect()
    });
    same(expected.collect(), found)
}

fn same_objects(expected: Vec<Value>, output: &Output, format: &str) -> Result<usize, String> {
    let parsed = if format == "json" {
        serde_json::from_str(&output.stdout)
    } else {
        output.stdout.lines().map(serde_json::from_str).collect()
    };
    let found: Vec<Value> = parsed.map_err(|error| format!("no JSON: {error}\n{}", output.stdout))?;
    let mapped = |values: Vec<Value>| values.into_iter().map(Comparable).collect();
    same(mapped(expected), mapped(found))
}

/// JSON whose fractions may differ in the last digit their text has.
struct Comparable(Value);

impl PartialEq for Comparable {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Comparable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(x), Some(y)) if a.is_f64() && b.is_f64() => (x - y).abs() <= x.abs() * 1e-15,
            _ => a == b,
        },
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, one)| b.get(key).is_some_and(|other| is_same(one, other)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(one, other)| is_same(one, other))
        }
        _ => a == b,
    }
}

/// How many rows there are if they are the same; else where they differ first.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(expected: Vec<T>, found: Vec<T>) -> Result<usize, String> {
    if expected == found {
        return Ok(found.len());
    }
    let at = expected.iter().zip(&found).position(|(a, b)| a != b);
    let at = at.unwrap_or(expected.len().min(found.len()));
    let around = |rows: &[T]| {
        let shown: Vec<_> = rows.iter().skip(at).take(3).map(|row| format!("  {row:?}")).collect();
        shown.join("\n")
    };
    Err(format!(
        "row {at} differs\n--- reference, {} rows\n{}\n--- flowdump, {} rows\n{}",
        expected.len(),
        around(&expected),
        found.len(),
        around(&found)
    ))
}
