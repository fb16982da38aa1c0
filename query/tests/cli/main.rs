//! Whole runs of `flowdump`: exit code, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "a fixture that can't be written is a failed test")]

mod anonymized;
mod completeness;
mod config;
mod errors;
mod extra;
mod files;
mod filters;
mod follow;
mod formats;
mod hostile;
mod imported;
mod info;
mod keys;
#[path = "../../src/places/maker.rs"]
mod maker;
mod measured;
mod orders;
mod parts;
mod post_filters;
mod process;
mod reference;
mod replayed;
mod rows;
mod sequence;
mod siblings;
mod spared;
mod spilled;
mod statistics;
mod support;
mod tables;
mod times;
mod together;
mod usage;
mod values;
mod verified;
mod whole;
mod written;
