//! What is known of where an address is, or whose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use flow_common::addr::Addr16;
use flow_common::limits::PLACES_KNOWN_MAX;

use super::value::{Geo, Side};
use crate::places::{Places, told_or};

/// What was told of addresses.
type Known = HashMap<(Addr16, Geo), Option<Arc<str>>>;

/// Looks addresses up, each once as long as it is remembered.
pub(super) struct Lookup {
    places: Option<Arc<Places>>,
    known: RefCell<Known>,
    origins: RefCell<HashMap<Addr16, Option<i64>>>,
}

impl Lookup {
    pub(super) fn new(places: Option<&Arc<Places>>) -> Self {
        Self { places: places.cloned(), known: RefCell::default(), origins: RefCell::default() }
    }

    /// What the databases tell of `addr`.
    pub(super) fn get(&self, addr: Addr16, what: Geo) -> Option<Arc<str>> {
        let places = self.places.as_ref()?;
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.get(&(addr, what)) {
            return known.clone();
        }
        if known.len() == PLACES_KNOWN_MAX {
            known.clear();
        }
        let found: Option<String> = match what {
            Geo::Country => places.country(addr).map(|country| country.to_string()),
            Geo::Location => places.location(addr),
            Geo::Organisation => {
                places.origin(addr).and_then(|origin| origin.organisation).map(str::to_owned)
            }
            Geo::Tor => None,
        };
        let found = found.map(Arc::from);
        known.insert((addr, what), found.clone());
        found
    }
}

impl Lookup {
    /// The autonomous system exporters told, where that is more than 0, else that of `addr`.
    pub(super) fn origin(&self, told: Option<i64>, addr: Option<[u8; 16]>) -> Option<i64> {
        let looked_up = || {
            let (places, addr) = (self.places.as_ref()?, Addr16(addr?));
            let mut known = self.origins.borrow_mut();
            if known.len() == PLACES_KNOWN_MAX {
                known.clear();
            }
            *known.entry(addr).or_insert_with(|| places.origin(addr).map(|origin| origin.number.into()))
        };
        told_or(told, looked_up)
    }
}

/// What groups call it, whose key it may be.
pub(super) const fn name(side: Side, what: Geo) -> &'static str {
    match (side, what) {
        (Side::Src, Geo::Country) => "src_country",
        (Side::Dst, Geo::Country) => "dst_country",
        (Side::Src, Geo::Organisation) => "src_as_name",
        (Side::Dst, Geo::Organisation) => "dst_as_name",
        _ => "",
    }
}

/// What stands in place of it, as nfdump has it.
pub(super) fn unknown(what: Geo) -> &'static str {
    match what {
        Geo::Country | Geo::Tor => "..",
        Geo::Location => "<no location info>",
        Geo::Organisation => "none",
    }
}
