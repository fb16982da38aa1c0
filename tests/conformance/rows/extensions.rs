//! What builds on IPFIX: elements, biflows, lists, types, applications, events.

use super::Level::{May, Should};
use super::Status::{Met, Partly};
use super::{E, Level, M, MAY, Row, S, row};

const SHOULD_AND_MAY: &[Level] = &[Should, May];

pub(super) const ROWS: &[Row] = &[
    row("INF-1", "RFC 7012 §7.3", S, "the registry of elements is compiled in, not fetched", Met),
    row(
        "INF-2",
        "RFC 7012 §3",
        E,
        "types and semantics of the registry hold; totals and deltas never mix",
        Met,
    ),
    row(
        "BIF-1",
        "RFC 5103 §4",
        S,
        "reverse elements without a key that has a direction: the record is dropped and logged",
        Partly("logged, but kept: its counters are in `other` and `contributes` is 0, so no sum has them"),
    ),
    row(
        "BIF-2",
        "RFC 5103 §6.1",
        SHOULD_AND_MAY,
        "the reverse of what cannot be reversed has no effect",
        Met,
    ),
    row("BIF-3", "RFC 5103", E, "a biflow is one record with two directions, and counts once", Met),
    row("STR-1", "RFC 6313 §4.5", M, "a basic list says the length of its elements and may be empty", Met),
    row(
        "STR-2",
        "RFC 6313",
        E,
        "lists of records use the templates of their session, bounded in depth and number",
        Met,
    ),
    row("STR-3", "RFC 6313 §7", MAY, "an unknown semantic of a list stays a number", Met),
    row(
        "TYP-1",
        "RFC 5610",
        E,
        "types sent for enterprise elements hold for unknown ones, and override nothing",
        Met,
    ),
    row(
        "APP-1",
        "RFC 6759 §4.1",
        E,
        "an application id is an engine and a selector of any width; names come with options data",
        Met,
    ),
    row("L2-1", "RFC 7133", E, "frames sent in sections are parsed, within limits of their own", Met),
    row("NAT-1", "RFC 8158", E, "events are told from flows, also where they count no packets", Met),
    row("FILE-1", "RFC 5655", E, "files of messages, one after the other, are read", Met),
];
