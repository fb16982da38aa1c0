//! A malformed corpus made from every capture at hand: each truncation of each
//! datagram, and each 16- and 32-bit word at each offset set to what hurts, one
//! fault at a time. Nothing panics, every datagram is accounted for, what is
//! rejected leaves no record behind, and what is decoded stays within its bounds.
//!
//! A sample of it runs with the other tests. All of it takes minutes:
//! `FLOWCAP_FAULTS=all CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test -p flow-collector --lib faults -- --nocapture`

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flow_common::time::Timestamp;

use super::{Decoder, FlowSink, Outcome};
use crate::capture::Capture;
use crate::datagram::{Block, Datagram};
use crate::sampling::SamplingPolicy;

/// Faults tried where not all are wanted.
const FAULTS_SAMPLED: usize = 150_000;
/// Values a word is set to: 0, 1, all ones, one less, one more.
const VALUES: usize = 5;
/// Octets of decoded records for one of a datagram, and beside that.
const AMPLIFICATION_MAX: usize = 64;
const ALLOWANCE_BYTES: usize = 4_096;

/// Captures of the project, and those of real devices where they are beside it.
fn captures() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |directory: PathBuf| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.collect::<Vec<_>>()
    };
    let directories = below(here.join("../../shared/captures"));
    let directories = directories.into_iter().chain([here.join("../testdata")]);
    let files = directories.filter(|path| path.is_dir()).flat_map(below);
    let mut captures: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == "pcap")).collect();
    captures.sort();
    captures
}

fn datagrams(path: &Path) -> Block {
    let mut block = Block::new(Timestamp::default());
    let push = |datagram: Datagram<'_>| {
        block.push(datagram);
        ControlFlow::Continue(())
    };
    Capture::open(path).unwrap().for_datagrams(push).unwrap();
    block
}

fn n_faults(length: usize) -> usize {
    length + VALUES * (length.saturating_sub(1) + length.saturating_sub(3))
}

/// The `index`-th fault of `payload`, in `copy`.
fn fault<'a>(payload: &[u8], index: usize, copy: &'a mut Vec<u8>) -> &'a [u8] {
    copy.clear();
    copy.extend_from_slice(payload);
    let Some(index) = index.checked_sub(payload.len()) else {
        return &copy[..index];
    };
    let n_short = payload.len().saturating_sub(1);
    let (at, width) = match index / VALUES {
        at if at < n_short => (at, 2),
        at => (at - n_short, 4),
    };
    let word = copy[at..at + width].iter().fold(0_u32, |word, &octet| word << 8 | u32::from(octet));
    let value = [0, 1, u32::MAX, word.wrapping_sub(1), word.wrapping_add(1)][index % VALUES];
    copy[at..at + width].copy_from_slice(&value.to_be_bytes()[4 - width..]);
    copy
}

/// What became of the datagrams a decoder was given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    decoded: usize,
    rejected: usize,
    /// Began to wait.
    waited: usize,
    /// No longer wait: decoded, rejected or given up.
    ended: usize,
}

/// A decoder and all that is checked of it.
#[derive(Debug, Default)]
struct Trial {
    decoder: Decoder,
    sink: FlowSink,
    counts: Counts,
}

impl Trial {
    fn decode(&mut self, datagram: &Datagram<'_>) {
        let report = self.decoder.decode(datagram, &mut self.sink);
        let rows = self.sink.rows();
        let length = datagram.payload.len();
        assert!(self.sink.flows.is_consistent() && self.sink.options.is_consistent(), "{report:?}");
        assert!(rows.0 + rows.1 <= length, "{rows:?} of {length} octets: {report:?}");
        let bytes = self.sink.flows.variable_bytes() + self.sink.options.variable_bytes();
        assert!(bytes <= AMPLIFICATION_MAX * length + ALLOWANCE_BYTES, "{bytes} of {length}: {report:?}");
        self.counts.ended += report.given_up.len();
        match report.outcome {
            Outcome::Decoded => self.counts.decoded += 1,
            Outcome::Waiting => self.counts.waited += 1,
            Outcome::Rejected(_) => {
                assert_eq!(rows, (0, 0), "{report:?}");
                self.counts.rejected += 1;
            }
        }
        while let Some(late) = self.decoder.decode_ready(&mut self.sink) {
            assert!(self.sink.flows.is_consistent() && self.sink.options.is_consistent(), "{late:?}");
            self.counts.ended += usize::from(late.ended.is_some());
        }
        self.sink.flows.truncate(0);
        self.sink.options.truncate(0);
        assert_eq!(self.counts.waited - self.counts.ended, self.decoder.n_waiting(), "a datagram went amiss");
    }
}

/// Each datagram of a capture in turn, sound, then faulty, then sound again, so
/// that the templates of the next ones are. Every `stride`-th fault from `next` on.
fn try_faults(block: &Block, stride: usize, next: &mut usize) -> Counts {
    let mut trial = Trial { decoder: Decoder::new(SamplingPolicy::Announced), ..Trial::default() };
    let mut copy = Vec::new();
    for datagram in block.iter() {
        trial.decode(&datagram);
        let n = n_faults(datagram.payload.len());
        while *next < n {
            let payload = fault(datagram.payload, *next, &mut copy);
            trial.decode(&Datagram { payload, ..datagram });
            *next += stride;
        }
        *next -= n;
        trial.decode(&datagram);
    }
    trial.counts
}

#[test]
fn no_single_fault_panics_or_leaves_half_a_record() {
    let blocks: Vec<_> = captures().iter().map(|path| datagrams(path)).collect();
    let n_all: usize = blocks.iter().flat_map(Block::iter).map(|it| n_faults(it.payload.len())).sum();
    // Odd, and no multiple of the values of a word: all kinds of fault come.
    let is_all = std::env::var_os("FLOWCAP_FAULTS").is_some_and(|value| value == "all");
    let stride = if is_all { 1 } else { (n_all / FAULTS_SAMPLED / 10 * 10 + 1).max(1) };
    let (mut next, mut total) = (0, Counts::default());
    for block in &blocks {
        let counts = try_faults(block, stride, &mut next);
        total.decoded += counts.decoded;
        total.rejected += counts.rejected;
        total.waited += counts.waited;
        total.ended += counts.ended;
    }
    eprintln!("{} captures, every {stride}. of {n_all} faults: {total:?}", blocks.len());
    assert!(total.decoded > 10_000 && total.rejected > 10_000 && total.waited > 100, "{total:?}");
}
