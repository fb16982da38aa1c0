//! Which groups are asked for, and which of them.

use std::sync::Arc;

use crate::Env;
use crate::aggregation::Aggregation;
use crate::cli::Args;
use crate::columns::Columns;
use crate::filter::{self, Meaning, Predicate};
use crate::group;
use crate::measure::Measures;
use crate::message::Failure;
use crate::statistic::{Key, Statistic};
use crate::surroundings::World;

/// Statistics, and what `-A` and the like say.
type Groups = (Vec<Statistic>, Option<Aggregation>);

/// nfdump's `-s record/bytes -A srcip,dstip`: the groups of `-A`, ranked as the statistic says.
pub(super) fn ranked_groups(
    statistics: Vec<Statistic>,
    aggregation: Option<Aggregation>,
) -> Result<Groups, Failure> {
    let mut aggregation = match aggregation {
        Some(aggregation) if !statistics.is_empty() => aggregation,
        other => return Ok((statistics, other)),
    };
    match &statistics[..] {
        [Statistic { key: Key::Record, is_by_protocol: false, rankings, .. }] if rankings.len() == 1 => {
            aggregation.orders = rankings.clone();
            Ok((Vec::new(), Some(aggregation)))
        }
        [one] if one.key == Key::Record => {
            let hint = "for example `-s record/bytes -A srcip,dstip`";
            Err(Failure::usage_hint("with -a, -A, -b and -B `-s record` has one order", hint))
        }
        _ => {
            let message =
                "a statistic has a key of its own; only `-s record` ranks the rows of -a, -A, -b and -B";
            Err(Failure::usage_hint(message, "ask for both, one after the other"))
        }
    }
}

/// What `-P` asks of the groups of all tables.
pub(super) fn post_filter(
    args: &Args,
    (statistics, aggregation): &Groups,
    env: Env,
    columns: &Columns,
    world: &mut World<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Arc<Predicate>>, Failure> {
    let Some(text) = &args.post_filter else { return Ok(None) };
    let groupings = statistics.iter().map(Statistic::grouping);
    let known = groupings.chain(aggregation.as_ref().map(Aggregation::grouping));
    let known = known.map(|grouping| group::columns_of_groups(&grouping)).reduce(|one, two| &one & &two);
    let Some(known) = known else {
        let hint = "which flows are counted is the filter at the end of the line";
        return Err(Failure::usage_hint("`-P` filters the rows of -a, -A, -b, -B and -s", hint));
    };
    let meaning = filter::compile_of_groups(text, env, columns, world, &known);
    let Meaning { predicate, notes: told } = meaning.map_err(|error| Failure::Filter(error.text))?;
    notes.extend(told.into_iter().chain(std::mem::take(&mut world.warnings)));
    let mut asks_address = false;
    predicate.each_test(&mut |test| asks_address |= test.is_of_address());
    if asks_address && (args.anonymize.is_some() || args.anonymize_with.is_some()) {
        let message = "`-P` can't ask for addresses or texts that `--anonymize` makes other ones";
        return Err(Failure::usage_hint(message, "the filter at the end of the line sees the true ones"));
    }
    Ok(Some(Arc::new(predicate)))
}

/// An error where groups of this kind can't have what is asked of them, or be written.
pub(super) fn can_answer(
    (statistics, _): &Groups,
    measures: &Measures,
    is_written: bool,
) -> Result<(), Failure> {
    if is_written && !statistics.is_empty() {
        let message = "`-w` and `-o parquet` have flows and the rows of `-a` and `-A`, nothing else";
        return Err(Failure::usage_hint(message, "`-o csv` and `-o ndjson` are for other programs too"));
    }
    if !measures.is_empty() && statistics.iter().any(|statistic| statistic.key == Key::Record) {
        let message = "`-s record` looks like flows, which have no column for it";
        return Err(Failure::usage_hint(message, "`-a` has the same groups, in a table"));
    }
    Ok(())
}
