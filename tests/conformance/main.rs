//! What the standards ask of a collector, row by row.
//!
//! [`rows`] is the table of requirements and how far each is met; [`table`]
//! turns it into `collector/CONFORMANCE.md` and keeps both true. Every other
//! module holds tests. The name of a test begins with the row it belongs to:
//! `v9_08_…` belongs to row V9-8. [`collect`] is the only module that knows how
//! a collector is run and asked, [`connections`] how it is connected to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod collect;
mod connections;
mod events;
mod extensions;
mod ipfix_framing;
mod ipfix_options;
mod ipfix_streams;
mod ipfix_templates;
mod ipfix_tls;
mod ipfix_transport;
mod ipfix_values;
mod lifetimes;
mod lists;
mod rows;
mod sequence;
mod table;
mod times;
mod told;
mod v5;
mod v9_framing;
mod v9_templates;
mod v9_values;
