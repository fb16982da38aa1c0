//! The journal against what it must survive.

use std::collections::BTreeSet;

use super::*;
use crate::datagram::{Datagram, Transport};
use crate::fs::RealFs;

const ID: u64 = 7;

fn listeners() -> Vec<ListenerAddr> {
    vec![ListenerAddr { addr: SocketAddr::from(([127, 0, 0, 1], 2055)), is_stream: false }]
}

fn open(directory: &Path, checkpoint: Option<(u64, u64)>) -> Opened {
    let metrics = Arc::new(Metrics::default());
    let max = 4 * SEGMENT_BYTES;
    Journal::open(RealFs::shared(), directory, checkpoint, ID, max, listeners(), metrics).unwrap()
}

fn block(n: i64, n_bytes: usize) -> Block {
    let mut block = Block::new(Timestamp(n));
    let peer = SocketAddr::from(([192, 0, 2, 1], 1));
    let payload = vec![n as u8; n_bytes];
    block.push(Datagram {
        payload: &payload,
        peer,
        listener: ListenerId(0),
        transport: Transport::Udp,
        received_at: Timestamp(n),
    });
    block
}

/// All blocks from a position on, by their number.
fn read_all(journal: &Journal, mut at: u64, to: u64) -> Vec<i64> {
    let mut seen = Vec::new();
    while let Some((block, end)) = journal.read(at, to) {
        assert!(
            block.iter().all(|datagram| datagram.payload.iter().all(|&octet| octet == block.now.0 as u8))
        );
        seen.push(block.now.0);
        at = end;
    }
    seen
}

#[test]
fn what_was_appended_is_read_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), None);
    let ends: Vec<u64> =
        (0..5).map(|n| journal.append(&mut block(n, 100)).unwrap()).map(|at| at.end).collect();
    let live_from = journal.live_from();
    assert_eq!(read_all(&journal, live_from, ends[4]), [0, 1, 2, 3, 4], "in the same run");
    assert_eq!(read_all(&journal, live_from, live_from + SEGMENT_HEADER_BYTES), [0i64; 0]);
    drop(journal);
    let Opened { journal, .. } = open(directory.path(), Some((ID, ends[1])));
    assert_eq!(read_all(&journal, journal.replay_from(), journal.live_from()), [2, 3, 4]);
    assert!(journal.live_from() > ends[4]);
    let at = journal.append(&mut block(9, 100)).unwrap();
    assert_eq!(read_all(&journal, ends[1], at.end), [2, 3, 4, 9]);
    // A crash in the replay: the same again, and what has come since.
    drop(journal);
    let Opened { journal, .. } = open(directory.path(), Some((ID, ends[1])));
    assert_eq!(read_all(&journal, journal.replay_from(), journal.live_from()), [2, 3, 4, 9]);
    // Another journal's blocks are nobody's.
    drop(journal);
    let Opened { journal, .. } = open(directory.path(), Some((ID + 1, 0)));
    assert_eq!(read_all(&journal, 0, journal.live_from()), [0i64; 0]);
}

#[test]
fn a_torn_or_damaged_block_ends_its_segment_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), None);
    let ends: Vec<_> = (0..4).map(|n| journal.append(&mut block(n, 100)).unwrap()).collect();
    drop(journal);
    let Opened { journal, .. } = open(directory.path(), Some((ID, 0)));
    journal.append(&mut block(8, 100)).unwrap();
    drop(journal);
    let of_first = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        SegmentHeader::decode(&bytes)
            .is_some_and(|header| header.base == ends[0].start - ends[0].start % SEGMENT_BYTES)
    };
    let paths: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let path = paths.iter().find(|path| of_first(path)).unwrap();
    let offset = (ends[2].start % SEGMENT_BYTES) as usize;
    let sound = std::fs::read(path).unwrap();
    for at in [offset, offset + 5, offset + 9, offset + 20, offset + 40, offset + 100] {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        std::fs::write(path, &damaged).unwrap();
        let Opened { journal, .. } = open(directory.path(), Some((ID, 0)));
        assert_eq!(read_all(&journal, 0, journal.live_from()), [0, 1, 8], "octet {at}");
    }
}

#[test]
fn segments_are_used_again_and_the_bound_holds() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), None);
    const N_BYTES: usize = 128 << 10;
    let (mut n, mut released, mut end) = (0, 0, 0);
    let files = || -> BTreeSet<_> {
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let mut files_before = None;
    for lap in 0..3 {
        let mut seen = Vec::new();
        // As many as there are segments for.
        while let Some(at) = journal.append(&mut block(n, N_BYTES)) {
            assert!(at.is_stored);
            seen.push(n);
            (n, end) = (n + 1, at.end);
        }
        assert!((3 * 7..=4 * 8).contains(&seen.len()), "lap {lap}: {}", seen.len());
        assert_eq!(read_all(&journal, released, end), seen);
        assert_eq!(journal.used_bytes(), 4 * SEGMENT_BYTES);
        // The last one is in use; all else may go.
        journal.release(end);
        released = end;
        journal.sync();
        assert_eq!(read_all(&journal, released, end), [0i64; 0]);
        // As many are kept as were needed: none is made anew.
        let files_now = files();
        assert_eq!(files_now.len(), 4, "{files_now:?}");
        assert_eq!(*files_before.get_or_insert_with(|| files_now.clone()), files_now);
    }
    // Periods in which few were needed.
    (0..2).for_each(|_| journal.sync());
    assert_eq!(files().len(), 1 + limits::JOURNAL_SPARE_SEGMENTS);
}

#[test]
fn segments_kept_for_later_are_given_back_to_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), None);
    let mut end = 0;
    while let Some(at) = journal.append(&mut block(0, 128 << 10)) {
        end = at.end;
    }
    journal.release(end);
    let n_files = || std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(n_files(), 4);
    journal.give_back();
    assert_eq!(n_files(), 1 + limits::JOURNAL_SPARE_SEGMENTS);
}

#[test]
fn listeners_of_an_earlier_run_are_known_by_their_address() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), None);
    journal.append(&mut block(1, 10)).unwrap();
    drop(journal);
    let other = ListenerAddr { addr: SocketAddr::from(([127, 0, 0, 1], 9995)), is_stream: false };
    let metrics = Arc::new(Metrics::default());
    let max = 4 * SEGMENT_BYTES;
    let opened =
        Journal::open(RealFs::shared(), directory.path(), Some((ID, 0)), ID, max, vec![other], metrics);
    let Opened { journal, listeners: all } = opened.unwrap();
    assert_eq!(all, [other, listeners()[0]]);
    let (block, _) = journal.read(0, journal.live_from()).unwrap();
    assert_eq!(block.iter().next().unwrap().listener, ListenerId(1));
}
