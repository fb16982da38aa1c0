//! Each query by turns: answers compared first, then timed.

use std::io;
use std::path::{Path, PathBuf};

use crate::answer::{self, Answer};
use crate::duckdb::DuckDb;
use crate::options::Programs;
use crate::process::{self, Cost, Outcome};
use crate::queries::Query;
use crate::store::Stores;

/// Runs of the query that measures a start.
const START_RUNS: usize = 200;
/// Asks flowdump to decode the columns of a question and answer nothing.
const DECODE_ONLY: &str = "--decode-only";

/// What was measured of a query.
#[derive(Debug, Clone)]
pub struct Measured {
    pub query: Query,
    pub nfdump: Side,
    pub flowdump: Side,
    pub duckdb_ms: Option<f64>,
    /// Decoding the columns alone.
    pub decode_ms: Option<f64>,
}

/// One program.
#[derive(Debug, Clone)]
pub enum Side {
    Took(Cost),
    /// It does not know how, in its words.
    Refused(String),
}

impl Side {
    pub fn cost(&self) -> Option<Cost> {
        match self {
            Self::Took(cost) => Some(*cost),
            Self::Refused(_) => None,
        }
    }
}

/// Everything that is asked.
pub struct Asked<'a> {
    pub programs: &'a Programs,
    pub stores: &'a Stores,
    /// Ten flows.
    pub small: &'a Stores,
    pub duckdb: Option<&'a mut DuckDb>,
    pub runs: usize,
}

struct Program<'a> {
    path: &'a Path,
    arguments: Vec<String>,
}

impl Asked<'_> {
    fn program(&self, query: &Query, is_ours: bool) -> Program<'_> {
        let stores = if query.is_start { self.small } else { self.stores };
        let (path, flag, flows, rest) = match is_ours {
            true => (&self.programs.flowdump, "-r", &stores.flowcap, &query.flowdump),
            false => (&self.programs.nfdump, "-R", &stores.nfcapd, &query.nfdump),
        };
        // A start should not be one of a search for files.
        let flows = if query.is_start { only_file(flows) } else { flows.clone() };
        let flag = if query.is_start { "-r" } else { flag };
        let mut arguments = vec![flag.to_owned(), flows.display().to_string()];
        arguments.extend(rest.iter().cloned());
        Program { path, arguments }
    }

    fn answer(&self, query: &Query, is_ours: bool) -> io::Result<Outcome<Answer>> {
        let program = self.program(query, is_ours);
        let arguments = answer::arguments(&program.arguments, query.shape);
        process::answer(program.path, &arguments, |reader| answer::read(reader, query.shape))
    }

    /// Answers of all that have one, compared; what is refused.
    fn check(&mut self, query: &Query) -> io::Result<[Option<String>; 2]> {
        let mut answers = Vec::new();
        let mut refused = [None, None];
        for (index, name) in ["nfdump", "flowdump"].into_iter().enumerate() {
            match self.answer(query, index == 1)? {
                Outcome::Answered(answer) => answers.push((name, answer)),
                Outcome::Refused(reason) => refused[index] = Some(reason),
            }
        }
        let sql = query.sql_answer.as_ref().or(query.sql.as_ref());
        if let (Some(duckdb), Some(sql)) = (self.duckdb.as_deref_mut(), sql) {
            answers.push(("DuckDB", answer::of_rows(&duckdb.rows(sql)?, query.shape)?));
        }
        for pair in answers.windows(2) {
            let [(left, left_answer), (right, right_answer)] = pair else { continue };
            if let Err(difference) = answer::compare(left_answer, right_answer, query.shape) {
                return Err(io::Error::other(format!(
                    "query {} ({}): {left} and {right} disagree: {difference}\n\
                     {left} says\n{}\n{right} says\n{}",
                    query.number,
                    query.name,
                    answer::text(left_answer),
                    answer::text(right_answer)
                )));
            }
        }
        Ok(refused)
    }

    /// Checks and times one query.
    pub fn measure(&mut self, query: &Query) -> io::Result<Measured> {
        let refused = self.check(query)?;
        let runs = if query.is_start { START_RUNS } else { self.runs };
        let mut costs = [Vec::new(), Vec::new()];
        let (mut duckdb, mut decoding) = (Vec::new(), Vec::new());
        let mut does_decode = query.has_decode_limit && self.does_decode(query)?;
        does_decode &= refused[1].is_none();
        for _ in 0..runs {
            for (index, costs) in costs.iter_mut().enumerate().filter(|(index, _)| refused[*index].is_none())
            {
                let program = self.program(query, index == 1);
                costs.push(process::cost(program.path, &program.arguments)?);
            }
            if let (Some(duckdb_process), Some(sql)) = (self.duckdb.as_deref_mut(), &query.sql) {
                duckdb.push(duckdb_process.wall_ms(sql)?);
            }
            if does_decode {
                let program = self.decoding(query);
                decoding.push(process::cost(program.path, &program.arguments)?.wall_ms);
            }
        }
        let [nfdump, flowdump] = costs;
        let [nfdump_refused, flowdump_refused] = refused;
        Ok(Measured {
            query: query.clone(),
            nfdump: side(nfdump, nfdump_refused),
            flowdump: side(flowdump, flowdump_refused),
            duckdb_ms: median(duckdb),
            decode_ms: median(decoding),
        })
    }

    fn decoding(&self, query: &Query) -> Program<'_> {
        let mut program = self.program(query, true);
        program.arguments.insert(0, DECODE_ONLY.to_owned());
        program
    }

    /// Whether flowdump can decode and do nothing else.
    fn does_decode(&self, query: &Query) -> io::Result<bool> {
        let program = self.decoding(query);
        let outcome = process::answer(program.path, &program.arguments, process::lines)?;
        Ok(matches!(outcome, Outcome::Answered(_)))
    }
}

/// The one file of flows below a directory, or the directory where there are more.
fn only_file(directory: &Path) -> PathBuf {
    let mut path = directory.to_owned();
    while let Ok(entries) = std::fs::read_dir(&path) {
        let visible =
            |path: &PathBuf| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
        let entries: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(visible).collect();
        match &entries[..] {
            [only] => path.clone_from(only),
            _ => return directory.to_owned(),
        }
    }
    path
}

fn side(costs: Vec<Cost>, refused: Option<String>) -> Side {
    let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect()).unwrap_or_default();
    match refused {
        Some(reason) => Side::Refused(reason),
        None => Side::Took(Cost {
            wall_ms: of(|cost| cost.wall_ms),
            cpu_ms: of(|cost| cost.cpu_ms),
            rss_kib: costs.iter().map(|cost| cost.rss_kib).max().unwrap_or_default(),
        }),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[n / 2]),
        n => Some((values[n / 2 - 1] + values[n / 2]) / 2.0),
    }
}
