//! What flowcap stores and what it is called.
//!
//! `flowcapd` writes files and `flowdump` reads them; neither depends on the
//! other. This crate is what both know:
//!
//! - [`mod@column`]: the one table of columns; [`schema`] derives the Arrow schema
//! - [`element`]: the IANA registry of information elements
//! - [`addr`], [`time`], [`proto`]: values, parsed and printed side by side
//! - [`layout`]: directory and file names and their meaning
//! - [`footer`]: what a file says about itself in its metadata
//! - [`tables`]: side tables of names, sampling rates and exporters' reports
//! - [`thrift`]: how much schema a Parquet footer holds
//! - [`usage`]: usage errors in the voice of both programs
//! - [`limits`]: every bound, with its unit and its reason
//!
//! No I/O, no clock, no async.

pub mod addr;
pub mod column;
pub mod element;
pub mod footer;
pub mod layout;
pub mod limits;
pub mod proto;
pub mod schema;
pub mod tables;
pub mod thrift;
pub mod time;
pub mod usage;
