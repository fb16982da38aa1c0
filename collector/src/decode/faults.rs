//! Single faults in every datagram of every capture of `testdata/`: each
//! truncation, and each 16- and 32-bit word set to what hurts. Nothing panics,
//! and what is rejected leaves no record behind.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flow_common::time::Timestamp;

use super::{Decoder, FlowSink, Outcome};
use crate::capture::Capture;
use crate::datagram::{Block, Datagram};
use crate::sampling::SamplingPolicy;

fn captures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let entries = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "pcap")).collect()
}

/// The datagrams of a capture, cut short: later ones repeat the kinds of the first.
fn datagrams(path: &Path) -> Block {
    const DATAGRAMS_MAX: usize = 5;
    let mut block = Block::new(Timestamp::default());
    Capture::open(path)
        .unwrap()
        .for_datagrams(|datagram| {
            block.push(datagram);
            if block.len() < DATAGRAMS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    block
}

/// Calls `each` with every faulty copy of `payload`.
fn for_faults(payload: &[u8], mut each: impl FnMut(&[u8])) {
    for length in 0..payload.len() {
        each(&payload[..length]);
    }
    let mut copy = payload.to_vec();
    for at in (0..payload.len().saturating_sub(1)).step_by(2) {
        let word = u16::from_be_bytes([payload[at], payload[at + 1]]);
        for value in [0, 1, u16::MAX, word.wrapping_sub(1), word.wrapping_add(1)] {
            copy[at..at + 2].copy_from_slice(&value.to_be_bytes());
            each(&copy);
        }
        copy[at..at + 2].copy_from_slice(&payload[at..at + 2]);
    }
    for at in (0..payload.len().saturating_sub(3)).step_by(4) {
        for value in [0, 1, u32::MAX] {
            copy[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
            each(&copy);
        }
        copy[at..at + 4].copy_from_slice(&payload[at..at + 4]);
    }
}

/// Decodes one datagram and checks that the sink is as the report says.
fn decode(decoder: &mut Decoder, datagram: &Datagram<'_>, sink: &mut FlowSink) -> Outcome {
    let before = (sink.flows.rows(), sink.options.rows());
    let report = decoder.decode(datagram, sink);
    assert!(sink.flows.is_consistent() && sink.options.is_consistent(), "{report:?}");
    if let Outcome::Rejected(_) = report.outcome {
        assert_eq!((sink.flows.rows(), sink.options.rows()), before, "{report:?}");
    }
    while decoder.decode_ready(sink).is_some() {
        assert!(sink.flows.is_consistent() && sink.options.is_consistent());
    }
    report.outcome
}

#[test]
fn no_single_fault_panics_or_leaves_half_a_record() {
    let (mut n_decoded, mut n_rejected) = (0u64, 0u64);
    for path in captures() {
        let block = datagrams(&path);
        for faulty in block.iter() {
            let mut decoder = Decoder::new(SamplingPolicy::Announced);
            let mut sink = FlowSink::default();
            for sound in block.iter() {
                decode(&mut decoder, &sound, &mut sink);
            }
            for_faults(faulty.payload, |payload| {
                match decode(&mut decoder, &Datagram { payload, ..faulty }, &mut sink) {
                    Outcome::Rejected(_) => n_rejected += 1,
                    Outcome::Decoded | Outcome::Waiting => n_decoded += 1,
                }
                sink.flows.truncate(0);
                sink.options.truncate(0);
            });
        }
    }
    assert!(n_decoded > 100_000 && n_rejected > 50_000, "{n_decoded} decoded, {n_rejected} rejected");
}
