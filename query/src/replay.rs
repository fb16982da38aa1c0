//! `flowdump replay`: stored flows as NetFlow v5, v9 or IPFIX to a collector.
//!
//! ```text
//! rows → record: fields and octets → encode: datagrams → pace → socket
//! ```
//!
//! - `record`: one row as a record, by the elements of the table of columns
//! - `encode`: records to datagrams: templates, sequence numbers, headers; sans I/O
//! - `pace`: when a record is due
//! - `start`: what was typed, and the socket

mod encode;
mod pace;
mod packed;
mod record;
mod start;

pub(crate) use self::start::{Asked, replay};

/// What flows are sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V5,
    V9,
    Ipfix,
}
