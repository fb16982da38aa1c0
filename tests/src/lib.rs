//! What needs both halves of flowcap: a collector and a query in one process,
//! and packets encoded by code that shares nothing with the decoder.
//!
//! - [`packet`], [`pcap`], [`lab`], [`mutate`]: datagrams, built, read or broken
//! - [`load`]: flows as routers export them, and a sender that keeps a pace
//! - [`daemon`]: a collector on ports the system chose, and the way to send to it
//! - [`damage`]: Parquet files, broken where a reader looks
//! - [`exposition`]: metrics text, read by its grammar
//! - [`tls`]: certificates made for a test, and a client with them
//! - [`query`]: `flowdump` in process, its output as text or parsed
//! - [`mod@reference`]: a slow second opinion on its answers

pub mod daemon;
pub mod damage;
pub mod exposition;
pub mod lab;
pub mod load;
pub mod mutate;
pub mod nfcapd;
pub mod packet;
pub mod pcap;
pub mod query;
pub mod reference;
pub mod tls;

use std::path::{Path, PathBuf};

/// A file or directory below `testdata/`.
pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// Names of all captures below `testdata/`, sorted, without `.pcap`.
pub fn captures() -> Vec<String> {
    let entries = std::fs::read_dir(testdata("")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(".pcap")?.to_owned())).collect();
    names.sort();
    names
}
