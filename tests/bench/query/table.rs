//! Tables in Markdown.

use crate::measure::{Measured, Side};
use crate::process::Cost;

const NOTHING: &str = "–";

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn rule(n: usize) -> String {
    let cells: Vec<_> = (0..n).map(|index| if index == 0 { "---" } else { "--:" }.to_owned()).collect();
    line(&cells)
}

fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn side(side: &Side) -> [String; 3] {
    match side {
        Side::Took(Cost { wall_ms, cpu_ms, rss_kib }) => {
            [ms(*wall_ms), ms(*cpu_ms), format!("{:.1}", *rss_kib as f64 / 1_024.0)]
        }
        Side::Refused(_) => ["not supported", NOTHING, NOTHING].map(str::to_owned),
    }
}

/// How many times faster, and whether that is what was to be reached.
fn ratio(theirs: Option<f64>, ours: Option<f64>, goal: Option<f64>) -> String {
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return NOTHING.to_owned() };
    let ratio = theirs / ours;
    let verdict = |goal: f64| if ratio >= goal { "ok" } else { "missed" };
    goal.map_or(format!("{ratio:.2}"), |goal| format!("{ratio:.2} (≥ {goal:.2}: {})", verdict(goal)))
}

/// All queries next to their goals.
pub fn ratios(measured: &[Measured]) -> String {
    let head = [
        "query",
        "nfdump ms",
        "CPU ms",
        "RSS MiB",
        "flowdump ms",
        "CPU ms",
        "RSS MiB",
        "DuckDB ms",
        "nfdump / flowdump",
        "DuckDB / flowdump",
        "RSS ≤ nfdump's",
        "only decoding, ms",
    ];
    let mut out = line(&head.map(str::to_owned)) + &rule(head.len());
    for one in measured {
        let (theirs, ours) = (one.nfdump.cost(), one.flowdump.cost());
        let goal = one.query.goal;
        let mut cells = vec![format!("{} {}", one.query.number, one.query.name)];
        cells.extend(side(&one.nfdump));
        cells.extend(side(&one.flowdump));
        cells.push(one.duckdb_ms.map_or(NOTHING.to_owned(), ms));
        let wall = |cost: Option<Cost>| cost.map(|cost| cost.wall_ms);
        cells.push(ratio(wall(theirs), wall(ours), goal.vs_nfdump));
        cells.push(ratio(one.duckdb_ms, wall(ours), goal.vs_duckdb));
        cells.push(match (theirs, ours) {
            (Some(theirs), Some(ours)) if ours.rss_kib <= theirs.rss_kib => "ok".to_owned(),
            (Some(_), Some(_)) => "missed".to_owned(),
            _ => NOTHING.to_owned(),
        });
        cells.push(match (one.decode_ms, ours) {
            (Some(decode_ms), Some(ours)) => {
                let times = ours.wall_ms / decode_ms;
                let verdict = if times <= 2.5 { "ok" } else { "missed" };
                format!("{} (query {times:.2} ×, ≤ 2.5: {verdict})", ms(decode_ms))
            }
            _ => NOTHING.to_owned(),
        });
        out += &line(&cells);
    }
    out
}

/// What each query takes at each number of flows, and a million flows at the largest
/// against one at the smallest.
pub fn scale(by_flows: &[(u64, Vec<Measured>)]) -> String {
    let mut head = vec!["query".to_owned(), "program".to_owned()];
    head.extend(by_flows.iter().map(|(flows, _)| format!("{} M: ms (MiB)", *flows as f64 / 1e6)));
    head.push("a flow, largest / smallest".to_owned());
    let mut out = line(&head) + &rule(head.len());
    let Some((_, first)) = by_flows.first() else { return out };
    for (index, query) in first.iter().map(|one| &one.query).enumerate().filter(|(_, query)| !query.is_start)
    {
        type Take = fn(&Measured) -> Option<(f64, u64)>;
        let programs: [(&str, Take); 3] = [
            ("nfdump", |one| one.nfdump.cost().map(|cost| (cost.wall_ms, cost.rss_kib))),
            ("flowdump", |one| one.flowdump.cost().map(|cost| (cost.wall_ms, cost.rss_kib))),
            ("DuckDB", |one| one.duckdb_ms.map(|wall_ms| (wall_ms, 0))),
        ];
        for (name, take) in programs {
            let took: Vec<_> = by_flows
                .iter()
                .map(|(flows, measured)| Some((*flows, take(measured.get(index)?)?)))
                .collect();
            let cell = |took: &Option<(u64, (f64, u64))>| match took {
                Some((_, (wall_ms, 0))) => ms(*wall_ms),
                Some((_, (wall_ms, rss_kib))) => format!("{} ({})", ms(*wall_ms), rss_kib >> 10),
                None => NOTHING.to_owned(),
            };
            let mut cells = vec![format!("{} {}", query.number, query.name), name.to_owned()];
            cells.extend(took.iter().map(cell));
            cells.push(match (took.first().copied().flatten(), took.last().copied().flatten()) {
                (Some((few, (least, _))), Some((many, (most, _)))) => {
                    format!("{:.2}", most / many as f64 / (least / few as f64))
                }
                _ => NOTHING.to_owned(),
            });
            out += &line(&cells);
        }
    }
    out
}
