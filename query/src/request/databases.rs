//! Whether an answer needs databases of places, and which there are.

use std::sync::Arc;

use super::PARQUET;
use crate::aggregation::Aggregation;
use crate::cli::Args;
use crate::measure::Measures;
use crate::message::Failure;
use crate::output::{self, Style};
use crate::places::{Chosen, Places};
use crate::statistic::Statistic;

/// Databases of places, where `-G` names any or the answer has something of theirs.
pub(super) fn places(
    args: &Args,
    databases: &Chosen,
    style: &mut Style,
    (statistics, aggregation): (&mut [Statistic], &mut Option<Aggregation>),
    measures: &Measures,
    is_anonymous: bool,
) -> Result<Option<Arc<Places>>, Failure> {
    let of_statistic = statistics.iter().find(|statistic| statistic.needs_places());
    let of_groups = aggregation.as_ref().filter(|aggregation| aggregation.needs_places());
    let key_needs = match (of_statistic, of_groups) {
        (Some(statistic), _) => Some(format!("`-s {}`", statistic.word)),
        (None, Some(_)) => Some(format!("`-A {}`", args.aggregate.as_deref().unwrap_or_default())),
        (None, None) => None,
    };
    let is_key = key_needs.is_some();
    let counted = || Some(format!("`--distinct {}`", measures.needs_places()?));
    let needed = key_needs.or_else(counted);
    let is_told = needed.is_some() || output::has_places(style);
    if is_anonymous {
        // Other addresses are elsewhere.
        return match is_told && (needed.is_some() || databases.is_named()) {
            true => Err(Failure::usage_hint(
                "addresses that are made other ones tell no places",
                "leave out `-G`, or `--anonymize`; filters know places",
            )),
            false => Ok(None),
        };
    }
    if is_key && (args.write.is_some() || args.output.as_deref() == Some(PARQUET)) {
        let message = "files have no column for what databases of places tell";
        return Err(Failure::usage_hint(message, "`-o csv` and `-o ndjson` are for other programs"));
    }
    if let Some(what) = needed {
        return databases.needed(&what).map(Some);
    }
    let is_of_systems = statistics.iter().any(Statistic::is_of_origins)
        || aggregation.as_ref().is_some_and(Aggregation::is_of_origins)
        || output::has_origins(style);
    if !(is_told || is_of_systems || databases.is_named()) {
        return Ok(None);
    }
    let places = databases.open()?;
    if places.as_ref().is_some_and(|places| places.has_origins()) {
        statistics.iter_mut().for_each(Statistic::look_origins_up);
        aggregation.iter_mut().for_each(Aggregation::look_origins_up);
        if output::has_origins(style) {
            Arc::make_mut(&mut style.layout).look_origins_up();
        }
    }
    Ok(places)
}
