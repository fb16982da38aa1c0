//! Writes a capture of generated NetFlow v9 flows, the same for the same arguments:
//! `cargo run --release -p flow-tests --example capture -- FILE RECORDS SECONDS EXPORTERS`.
//!
//! It begins at 2026-11-21T12:00:00Z; `flowcapd -f FILE -w DIR` makes files of it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr};

use flow_tests::load::{Datagrams, Version};
use flow_tests::pcap::write_pcap;

const START_MS: u64 = 1_795_262_400_000;
/// Datagrams made at a time, of flows of a seed of their own.
const CHUNK_DATAGRAMS: usize = 4_096;
/// Octets before the frames.
const HEADER_OCTETS: usize = 24;

fn main() -> std::io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number = |n: usize| arguments.get(n).and_then(|text| text.parse::<u64>().ok());
    let (Some(path), Some(n_records), Some(secs), Some(n_exporters)) =
        (arguments.first(), number(1), number(2), number(3))
    else {
        return Err(std::io::Error::other("FILE RECORDS SECONDS EXPORTERS"));
    };
    let collector = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9_995));
    let exporter = |n: u64| SocketAddr::from((Ipv4Addr::from(0xc633_6400 + n as u32), 40_000));
    let n_datagrams = n_records.div_ceil(Version::V9.records() as u64);
    let mut out = BufWriter::new(File::create(path)?);
    let mut sequences = vec![0; n_exporters as usize];
    let mut frames = Vec::new();
    for n in 0..n_exporters {
        let template = Version::V9.template(START_MS, 86_400_000, 0).unwrap_or_default();
        sequences[n as usize] += 1;
        frames.push((exporter(n), collector, template, START_MS * 1_000));
    }
    out.write_all(&write_pcap(&frames))?;
    let mut written = 0;
    while written < n_datagrams {
        frames.clear();
        let n = CHUNK_DATAGRAMS.min((n_datagrams - written) as usize);
        let mut datagrams = Datagrams::since(Version::V9, n, written, START_MS);
        for index in 0..n {
            let now_ms = START_MS + (written + index as u64) * secs * 1_000 / n_datagrams;
            // Bursts of sixteen, as routers send.
            let of = (written + index as u64) / 16 % n_exporters;
            let sequence = &mut sequences[of as usize];
            let octets = datagrams.stamped(index, now_ms, *sequence).to_vec();
            *sequence += 1;
            frames.push((exporter(of), collector, octets, now_ms * 1_000));
        }
        out.write_all(&write_pcap(&frames)[HEADER_OCTETS..])?;
        written += n as u64;
    }
    out.flush()
}
