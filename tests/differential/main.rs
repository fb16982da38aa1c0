//! nfdump and flowdump are asked the same of the same flows.
//!
//! The flows are made once and sent to `nfcapd` and to `flowcapd`. Each question ends as equal,
//! as a deliberate difference (`differences.rs` has them all), as unknown to the nfdump that is
//! here, or unexplained, which fails the test.
//!
//! `DIFFERENTIAL=all` asks the rest, too, and shows every verdict; `DIFFERENTIAL='-s *'` asks what
//! fits the pattern, and `DIFFERENTIAL=examples` tries those of the manual alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod ask;
mod differences;
mod examples;
mod flows;
mod normal;
mod questions;
mod store;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use self::ask::Said;
use self::differences::{DIFFERENCES, NOT_YET, OTHERWISE, Proof, fits};
use self::questions::{Question, Run};
use self::store::Stores;

/// Threads that ask.
const THREADS: usize = 2;
/// The version of nfdump whose answers the differences are about.
const VERSION: &str = "1.7.1";
/// Unexplained questions that are shown.
const SHOWN: usize = 400;

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Equal,
    /// Place of the difference, and of the pattern that fits.
    Deliberate(usize, usize),
    /// nfdump does not know it.
    Unknown(String),
    /// flowdump does not know it yet: place of the entry.
    NotYet(usize),
    Unexplained(String),
}

/// What keeps nfdump from being asked.
fn missing() -> Option<String> {
    for program in ["nfcapd", "nfdump"] {
        let Ok(output) = Command::new(program).arg("-V").output() else {
            return Some(format!("no `{program}` (Debian's package `nfdump`)"));
        };
        let version = String::from_utf8_lossy(&output.stdout);
        if !version.contains(VERSION) {
            return Some(format!("`{program}` is not {VERSION} but {}", version.trim()));
        }
    }
    None
}

#[test]
fn answers_are_those_of_nfdump_or_differ_for_a_reason() {
    if let Some(reason) = missing() {
        println!("skipped: {reason}");
        return;
    }
    let begin = Instant::now();
    let stores = store::make();
    let asked = std::env::var("DIFFERENTIAL").unwrap_or_default();
    let runs = questions::runs(|order| known(&stores, order));
    let is_asked = |run: &Run| match &*asked {
        "" => !run.is_extra,
        "all" => true,
        pattern => run.questions.iter().any(|question| fits(pattern, &question.name)),
    };
    let (runs, left_out): (Vec<_>, Vec<_>) = runs.into_iter().partition(is_asked);
    let verdicts = verdicts(&stores, &runs);
    if !asked.is_empty() {
        verdicts.iter().for_each(|(question, verdict)| println!("{}: {}", question.name, told(verdict)));
    }
    let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, verdict)| is(verdict)).count();
    println!(
        "{} questions about {} flows in {:.1?}: {} equal, {} deliberate, {} unknown to this nfdump, \
         {} not yet known to flowdump, unexplained = {}",
        verdicts.len(),
        stores.truth.records.len(),
        begin.elapsed(),
        count(|verdict| *verdict == Verdict::Equal),
        count(|verdict| matches!(verdict, Verdict::Deliberate(..))),
        count(|verdict| matches!(verdict, Verdict::Unknown(_))),
        count(|verdict| matches!(verdict, Verdict::NotYet(_))),
        count(|verdict| matches!(verdict, Verdict::Unexplained(_))),
    );
    let mut wrong: Vec<_> = verdicts
        .iter()
        .filter_map(|(question, verdict)| match verdict {
            Verdict::Unexplained(how) => Some(format!("{}: {how}", question.name)),
            _ => None,
        })
        .collect();
    let left_out = left_out.iter().flat_map(|run| &run.questions).map(|question| &*question.name);
    wrong.extend(unneeded(&verdicts, &left_out.collect::<Vec<_>>()));
    if ["", "all", "examples"].contains(&&*asked) {
        wrong.extend(examples::failed(&stores));
    }
    let n = wrong.len();
    wrong.truncate(SHOWN);
    assert!(n == 0, "{n} to explain:\n{}", wrong.join("\n"));
}

/// A verdict in words.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Equal => "equal".to_owned(),
        Verdict::Deliberate(place, _) => format!("deliberate, {}", DIFFERENCES[*place].reason),
        Verdict::Unknown(says) => format!("unknown to this nfdump, {says}"),
        Verdict::NotYet(place) => format!("not yet known, {}", NOT_YET[*place].1),
        Verdict::Unexplained(how) => format!("unexplained, {how}"),
    }
}

/// Which of nfdump and flowdump know an order of `-s`.
fn known(stores: &Stores, order: &str) -> [bool; 2] {
    let args = ["-s".to_owned(), format!("proto/{order}"), "-n".to_owned(), "1".to_owned()];
    [
        ask::nfdump(stores.nfcapd.path(), &args).is_ok(),
        ask::flowdump(stores.flowcapd.directory.path(), &args).is_ok(),
    ]
}

/// Asks everything, two questions at a time.
fn verdicts(stores: &Stores, runs: &[Run]) -> Vec<(Question, Verdict)> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((index, run)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            runs.get(index).map(|run| (index, run))
        } {
            let ours = ask::flowdump(stores.flowcapd.directory.path(), &run.flowdump);
            let mut args = run.nfdump.clone();
            if ours.is_err() {
                // Only whether it knows it matters.
                args.splice(0..0, ["-c".to_owned(), "1".to_owned()]);
            }
            let theirs = ask::nfdump(stores.nfcapd.path(), &args);
            let ended = run
                .questions
                .iter()
                .map(|question| (question.clone(), verdict(stores, question, &theirs, &ours)));
            let ended: Vec<_> = ended.collect();
            found.lock().unwrap().insert(index, ended);
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| _ = scope.spawn(work)));
    found.into_inner().unwrap().into_values().flatten().collect()
}

fn verdict(stores: &Stores, question: &Question, theirs: &Said, ours: &Said) -> Verdict {
    let is_named = NOT_YET.iter().any(|(pattern, _)| fits(pattern, &question.name));
    if let (normal::Shape::Flows, false, Ok(theirs), Ok(ours)) = (question.shape, is_named, theirs, ours)
        && normal::is_same_flows(theirs, ours)
    {
        return Verdict::Equal;
    }
    let read = |text: &str| normal::read(text, question.shape, question.table);
    let mut entries = NOT_YET.iter().enumerate().filter(|(_, (pattern, _))| fits(pattern, &question.name));
    let ours = match ours {
        Ok(text) => read(text),
        Err(says) => {
            if let Some((place, _)) =
                entries.find(|(_, (_, said))| *said != OTHERWISE && says.starts_with(said))
            {
                return Verdict::NotYet(place);
            }
            return match entry(
                question,
                |proof| matches!(proof, Proof::Refused(words) if says.contains(words)),
            ) {
                Some((place, pattern, _)) => Verdict::Deliberate(place, pattern),
                None if theirs.is_err() => Verdict::Unknown(format!("flowdump neither: {says}")),
                None => Verdict::Unexplained(format!("flowdump says {says:?}")),
            };
        }
    };
    let not_yet = entries.next();
    let known = |place: usize| {
        Verdict::Unexplained(format!("flowdump knows it by now: delete {:?} of NOT_YET", NOT_YET[place].0))
    };
    let theirs = match (theirs, not_yet) {
        (Ok(text), _) => read(text),
        (Err(_), Some((place, (_, said)))) if *said != OTHERWISE => return known(place),
        (Err(says), _) => return Verdict::Unknown(says.clone()),
    };
    let how = match (normal::compare(&theirs, &ours), not_yet) {
        (Err(_), Some((place, (_, OTHERWISE)))) => return Verdict::NotYet(place),
        (_, Some((place, _))) => return known(place),
        (Ok(()), None) => return Verdict::Equal,
        (Err(how), None) => how,
    };
    match entry(question, |proof| !matches!(proof, Proof::Refused(_))) {
        None => Verdict::Unexplained(how),
        Some((place, pattern, proof)) => match proven(stores, question, proof, (&theirs, &ours)) {
            Ok(()) => Verdict::Deliberate(place, pattern),
            Err(why) => Verdict::Unexplained(format!("the reason does not hold, {why}: {how}")),
        },
    }
}

/// The difference a question is named in, and the place of its pattern there.
fn entry(question: &Question, is_wanted: impl Fn(&Proof) -> bool) -> Option<(usize, usize, &'static Proof)> {
    DIFFERENCES.iter().enumerate().find_map(|(place, difference)| {
        let pattern = difference.questions.iter().position(|pattern| fits(pattern, &question.name))?;
        is_wanted(&difference.proof).then_some((place, pattern, &difference.proof))
    })
}

/// Whether our answer is what the flows themselves say, or differs as told.
fn proven(
    stores: &Stores,
    question: &Question,
    proof: &Proof,
    (theirs, ours): (&normal::Answer, &normal::Answer),
) -> Result<(), String> {
    match proof {
        Proof::Flows(is_meant) => {
            let expected = stores.truth.records.iter().filter(|record| is_meant(record));
            let expected: BTreeSet<_> =
                expected.map(|record| vec![normal::time_text(record.start_ms)]).collect();
            let found: BTreeSet<_> = ours.rows.iter().cloned().collect();
            let odd = expected.symmetric_difference(&found).next();
            odd.map_or(Ok(()), |odd| Err(format!("{} flows were made so, odd is {odd:?}", expected.len())))
        }
        Proof::Groups => stores.truth.check_groups(&question.name, question.shape, ours),
        Proof::Rows(is_explained) => {
            if theirs.rows.len() != ours.rows.len() {
                return Err(format!("{} rows against {}", theirs.rows.len(), ours.rows.len()));
            }
            let odd = theirs
                .rows
                .iter()
                .zip(&ours.rows)
                .find(|(theirs, ours)| theirs != ours && !is_explained(theirs, ours));
            odd.map_or(Ok(()), |(theirs, ours)| Err(format!("{} and {}", theirs.join(" "), ours.join(" "))))
        }
        Proof::Made(is_explained) => {
            if theirs.rows.len() != ours.rows.len() {
                return Err(format!("{} rows against {}", theirs.rows.len(), ours.rows.len()));
            }
            let is_odd = |(theirs, ours): &(&Vec<String>, &Vec<String>)| {
                theirs != ours
                    && !stores.truth.made(ours).is_some_and(|made| is_explained(&made, theirs, ours))
            };
            let odd = theirs.rows.iter().zip(&ours.rows).find(is_odd);
            odd.map_or(Ok(()), |(theirs, ours)| Err(format!("{} and {}", theirs.join(" "), ours.join(" "))))
        }
        Proof::Tables(is_explained) => match is_explained(&theirs.rows, &ours.rows) {
            true => Ok(()),
            false => Err("they differ in more".to_owned()),
        },
        Proof::Any => stores.truth.check_records(&question.name, question.shape, ours),
        Proof::Ranks => ours.outranks(theirs),
        Proof::Refused(_) => Err("it answers".to_owned()),
    }
}

/// Entries of the tables that no question needs. One about a question that was `left_out` may be
/// needed.
fn unneeded(verdicts: &[(Question, Verdict)], left_out: &[&str]) -> Vec<String> {
    let is_used = |wanted: &Verdict, pattern: &str| {
        verdicts.iter().any(|(_, verdict)| verdict == wanted)
            || left_out.iter().any(|question| fits(pattern, question))
    };
    let differences = DIFFERENCES.iter().enumerate().flat_map(|(place, difference)| {
        let patterns = difference.questions.iter().enumerate();
        patterns.map(move |(number, pattern)| (Verdict::Deliberate(place, number), *pattern, "DIFFERENCES"))
    });
    let not_yet =
        NOT_YET.iter().enumerate().map(|(place, (pattern, _))| (Verdict::NotYet(place), *pattern, "NOT_YET"));
    let unused = differences.chain(not_yet).filter(|(wanted, pattern, _)| !is_used(wanted, pattern));
    unused.map(|(_, pattern, table)| format!("nobody needs {pattern:?} of {table}")).collect()
}
