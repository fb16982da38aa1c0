//! What is known of where an address is.

use std::borrow::Cow;

use flow_common::addr::Addr16;

use super::value::Geo;

/// What a database tells of `addr`; no database is read yet.
pub(super) fn lookup(_addr: Addr16, _what: Geo) -> Option<Cow<'static, str>> {
    None
}

/// What stands in place of it, as nfdump has it.
pub(super) fn unknown(what: Geo) -> &'static str {
    match what {
        Geo::Country | Geo::Tor => "..",
        Geo::Location => "<no location info>",
        Geo::Organisation => "none",
    }
}
