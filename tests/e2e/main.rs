//! End to end: datagrams over UDP in, questions answered.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod compaction;
mod devices;
mod elements;
mod hostile;
mod import;
mod ingest;
mod interop;
mod lab;
mod late;
mod live;
mod names;
mod observe;
mod oracle;
mod replay;
mod restart;
mod rotation;
mod streams;
mod unlike_nfdump;
mod verify;
