//! Whole runs of `flowdump`: exit code, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "a fixture that can't be written is a failed test")]

mod errors;
mod extra;
mod files;
mod filters;
mod follow;
mod hostile;
mod info;
mod orders;
mod parts;
mod process;
mod reference;
mod rows;
mod sequence;
mod statistics;
mod support;
mod tables;
mod times;
mod usage;
mod values;
