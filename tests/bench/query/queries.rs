//! What is asked: each question once for `nfdump` and `flowdump`, which share a
//! command line, and once as SQL; and the goals of each.

use flow_tests::load::traffic::{PLANTED_HOST, SLOT_SECS, START_SECS, Traffic};

/// How an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Flows, packets and octets of what matched.
    Totals,
    /// The same, from the metadata of files.
    Info,
    /// Groups by one value, the order's counter first in the SQL's rows.
    Statistic(Order),
    /// Groups by the 5-tuple.
    Records,
    /// Groups by network and port; IPv6 is not compared.
    Networks,
    /// Records as CSV: how many, and the sums of their counters.
    Rows,
}

/// What groups are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Flows,
    Bytes,
}

/// How many times faster than another flowdump should be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    pub vs_nfdump: Option<f64>,
    pub vs_duckdb: Option<f64>,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Query {
    /// As in issue 5; the two of 9 differ in nfdump's format.
    pub number: usize,
    pub name: String,
    /// Arguments but for the files.
    pub nfdump: Vec<String>,
    pub flowdump: Vec<String>,
    /// The question that is timed, and what its answer is compared by where that differs.
    pub sql: Option<String>,
    pub sql_answer: Option<String>,
    pub shape: Shape,
    pub goal: Goal,
    /// What only decoding the columns costs is of interest.
    pub has_decode_limit: bool,
    /// On a file of ten rows, and many times.
    pub is_start: bool,
}

/// Addresses as DuckDB gives them fastest: no query asks it for their usual text.
const CSV_COLUMNS: &str = "flow_start::TIMESTAMP, epoch_us(flow_end) - epoch_us(flow_start), protocol, \
     hex(src_addr), src_port, hex(dst_addr), dst_port, packets, bytes";
const COUNTERS: &str = "count(*), sum(packets), sum(bytes)";
const GROUP: &str = "count(*), sum(packets), sum(bytes), min(flow_start), max(flow_end)";

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

impl Query {
    fn new(number: usize, name: &str, shape: Shape, arguments: &[&str], goal: (f64, f64)) -> Self {
        let goal = Goal { vs_nfdump: Some(goal.0), vs_duckdb: Some(goal.1) };
        let arguments = words(arguments);
        Self {
            number,
            name: name.to_owned(),
            nfdump: arguments.clone(),
            flowdump: arguments,
            sql: None,
            sql_answer: None,
            shape,
            goal,
            has_decode_limit: false,
            is_start: false,
        }
    }

    fn sql(self, sql: String) -> Self {
        Self { sql: Some(sql), ..self }
    }

    /// Rows go to a file that keeps nothing; their number and sums are compared.
    fn sql_csv(self, condition: &str) -> Self {
        Self {
            sql: Some(format!("COPY (SELECT {CSV_COLUMNS} FROM f {condition}) TO '/dev/null' (FORMAT csv)")),
            sql_answer: Some(format!("SELECT {COUNTERS} FROM f {condition}")),
            ..self
        }
    }

    fn decode_limit(self) -> Self {
        Self { has_decode_limit: true, ..self }
    }
}

/// Two minutes in the middle of so many flows, from and to, seconds since the epoch.
fn window(n_flows: u64) -> (u64, u64) {
    let start = START_SECS + (Traffic::n_slots(n_flows) - 1) / 2 * SLOT_SECS + 120;
    (start, start + 120)
}

/// A time of the day of [`START_SECS`], or the days after.
fn clock(secs: u64) -> (u64, String) {
    let since = secs - START_SECS + 12 * 3_600;
    (21 + since / 86_400, format!("{:02}:{:02}:{:02}", since / 3_600 % 24, since / 60 % 60, since % 60))
}

/// All of them; those of `nfdump -o csv-fast` only where it knows that.
pub fn all(n_flows: u64, has_csv_fast: bool) -> Vec<Query> {
    let (from, to) = window(n_flows);
    let ((from_day, from_time), (to_day, to_time)) = (clock(from), clock(to));
    let nfdump_window = format!("2026/11/{from_day}.{from_time}-2026/11/{to_day}.{to_time}");
    // nfdump's window ends where its last second begins; flowdump's does so between `..`.
    let flowdump_window = format!("2026-11-{from_day}T{from_time}Z..2026-11-{to_day}T{to_time}Z");
    let host = PLANTED_HOST.to_string();
    let blob = |prefix: &str, octets: [u8; 4]| {
        let tail: String = octets.iter().map(|octet| format!("\\x{octet:02X}")).collect();
        format!("'{prefix}\\xFF\\xFF{tail}'::BLOB")
    };
    let blob = |octets| blob(&"\\x00".repeat(10), octets);
    let (net_first, net_last) = (blob([10, 1, 0, 0]), blob([10, 1, 255, 255]));
    let host_blob = blob(PLANTED_HOST.octets());
    let by = |keys: &str, condition: &str, order: &str, n: usize| {
        format!("SELECT {keys}, {GROUP} FROM f {condition} GROUP BY ALL ORDER BY {order} DESC LIMIT {n}")
    };
    let everything = |name: &str, goal| Query::new(9, name, Shape::Rows, &["-o", "csv"], goal).sql_csv("");
    let mut window_query =
        Query::new(6, "two minutes, `-s dstip/flows`", Shape::Statistic(Order::Flows), &[], (8.0, 5.0)).sql(
            by(
                "dst_addr",
                &format!("WHERE flow_start >= to_timestamp({from}) AND flow_end <= to_timestamp({to})"),
                "count(*)",
                10,
            ),
        );
    window_query.nfdump = words(&["-t", &nfdump_window, "-s", "dstip/flows"]);
    window_query.flowdump = words(&["-t", &flowdump_window, "-s", "dstip/flows"]);
    let mut all = vec![
        Query::new(
            1,
            "count `proto tcp and dst port 443`",
            Shape::Totals,
            &["-N", "-o", "null", "proto tcp and dst port 443"],
            (14.0, 1.3),
        )
        .sql(format!("SELECT {COUNTERS} FROM f WHERE protocol = 6 AND dst_port = 443"))
        .decode_limit(),
        Query::new(
            2,
            "`-s srcip/bytes -n 10`",
            Shape::Statistic(Order::Bytes),
            &["-s", "srcip/bytes", "-n", "10"],
            (12.0, 3.0),
        )
        .sql(by("src_addr", "", "sum(bytes)", 10))
        .decode_limit(),
        Query::new(
            3,
            "`-s record/bytes -n 10`",
            Shape::Records,
            &["-s", "record/bytes", "-n", "10"],
            (14.0, 5.0),
        )
        .sql(by("src_addr, dst_addr, src_port, dst_port, protocol", "", "sum(bytes)", 10)),
        Query::new(
            4,
            "`-A srcip4/24,dstport -O bytes -n 20`",
            Shape::Networks,
            &["-A", "srcip4/24,dstport", "-O", "bytes", "-n", "20"],
            (20.0, 5.0),
        )
        .sql(by("src_addr[1:15], dst_port", "", "sum(bytes)", 20)),
        Query::new(
            5,
            "`src net 10.1.0.0/16 and bytes > 100000`, csv",
            Shape::Rows,
            &["-o", "csv", "src net 10.1.0.0/16 and bytes > 100000"],
            (5.0, 3.0),
        )
        .sql_csv(&format!("WHERE src_addr BETWEEN {net_first} AND {net_last} AND bytes > 100000")),
        window_query,
        Query::new(
            7,
            "one host, 50 rows in all files",
            Shape::Rows,
            &["-o", "csv", &format!("host {host}")],
            (10.0, 5.0),
        )
        .sql_csv(&format!("WHERE src_addr = {host_blob} OR dst_addr = {host_blob}")),
        Query::new(
            8,
            "`-s dstport/flows`",
            Shape::Statistic(Order::Flows),
            &["-s", "dstport/flows"],
            (10.0, 2.5),
        )
        .sql(by("dst_port", "", "count(*)", 10))
        .decode_limit(),
        everything("everything as csv", (8.0, 2.0)),
        Query::new(10, "`-I` totals", Shape::Info, &["-I"], (2.0, 10.0)).sql(info_sql()),
        Query {
            is_start: true,
            goal: Goal { vs_nfdump: Some(1.0 / 1.3), vs_duckdb: None },
            ..Query::new(
                11,
                "start-up: ten rows, `-o null`",
                Shape::Totals,
                &["-N", "-o", "null"],
                (1.0, 1.0),
            )
        },
    ];
    if has_csv_fast {
        let mut fast = everything("everything as csv, nfdump's csv-fast", (4.0, 2.0));
        fast.nfdump = words(&["-o", "csv-fast"]);
        all.insert(9, fast);
    }
    all
}

/// What `-I` says, from the data: DuckDB knows no totals of a file.
fn info_sql() -> String {
    let class = |condition: &str| {
        format!(
            "count(*) FILTER ({condition}), sum(packets) FILTER ({condition}), sum(bytes) FILTER ({condition})"
        )
    };
    let classes = ["protocol = 6", "protocol = 17", "protocol IN (1, 58)", "protocol NOT IN (1, 6, 17, 58)"];
    let classes = classes.map(class).join(", ");
    format!("SELECT {COUNTERS}, {classes}, min(flow_start), max(flow_end) FROM f")
}
