//! Who scans what next, and the texts that wait for those before them.
//!
//! A thread takes the next batch of the first row group that nobody is at. Where rows are
//! many, text costs more than scanning, and all are at one row group; where few match, each
//! is at one of its own. **Invariant:** the text the writer waits for is always being made, or
//! may be taken by whoever comes next, however much waits behind it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::super::reader::{OpenFile, Reader, Task};
use crate::batch::Batch;
use crate::interrupt;
use crate::scan::Scan;

/// Place of a text: its row group, counted as they are opened, and its batch there.
type Place = (u64, u64);

/// One batch and its place.
pub(super) struct Piece {
    place: Place,
    pub(super) file: Arc<OpenFile>,
    pub(super) batch: Batch,
}

/// The text of a piece.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) n_rows: u64,
    pub(super) text: Vec<u8>,
}

/// Threads that list rows, and what they have in common.
pub(super) struct Crew<'r, 'q> {
    board: Mutex<Board<'r, 'q>>,
    has_changed: Condvar,
    /// Octets of text beyond which only what the writer waits for is made.
    ahead_bytes: usize,
}

struct Board<'r, 'q> {
    reader: &'r mut Reader<'q>,
    /// Row groups that are not read to their end, in order.
    open: VecDeque<Open>,
    n_opened: u64,
    rows_opened: u64,
    /// Rows taken so far.
    passed: u64,
    /// There are no further row groups.
    is_ended: bool,
    is_stopped: bool,
    /// Texts that wait, and their octets.
    made: BTreeMap<Place, Made>,
    waiting_bytes: usize,
    /// How many pieces row groups had that are read to their end and not written to theirs.
    ends: BTreeMap<u64, u64>,
    /// What is to be written next.
    next: Place,
}

/// A row group that is read.
struct Open {
    number: u64,
    task: Task,
    /// Somebody has its scan.
    is_busy: bool,
    /// `None` before somebody began.
    scan: Option<Scan>,
    n_taken: u64,
}

impl<'r, 'q> Crew<'r, 'q> {
    pub(super) fn new(reader: &'r mut Reader<'q>, ahead_bytes: usize) -> Self {
        let board = Board {
            reader,
            open: VecDeque::new(),
            n_opened: 0,
            rows_opened: 0,
            passed: 0,
            is_ended: false,
            is_stopped: false,
            made: BTreeMap::new(),
            waiting_bytes: 0,
            ends: BTreeMap::new(),
            next: (0, 0),
        };
        Self { board: Mutex::new(board), has_changed: Condvar::new(), ahead_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Board<'r, 'q>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, board: MutexGuard<'a, Board<'r, 'q>>) -> MutexGuard<'a, Board<'r, 'q>> {
        self.has_changed.wait(board).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch for one who works alone; `None` at the end, or before row groups that
    /// make more than `rows_max` rows.
    pub(super) fn take_alone(&self, rows_max: u64) -> Option<Piece> {
        loop {
            let mut board = self.lock();
            let at = board.first_free().or_else(|| board.open_next())?;
            if board.rows_opened > rows_max {
                return None;
            }
            let (number, task, scan) = board.begin(at);
            drop(board);
            if let Some(piece) = self.read(number, &task, scan) {
                self.lock().next = (piece.place.0, piece.place.1 + 1);
                return Some(piece);
            }
            let mut board = self.lock();
            board.ends.clear();
            board.next = (number + 1, 0);
        }
    }

    /// Whether nothing is left to be taken.
    pub(super) fn is_done(&self) -> bool {
        let board = self.lock();
        board.open.is_empty() && board.is_over()
    }

    /// The next batch to make text of.
    pub(super) fn take(&self) -> Option<Piece> {
        loop {
            let mut board = self.lock();
            let at = loop {
                if board.is_stopped || interrupt::is_asked() {
                    return None;
                }
                if let Some(at) = board.choose(self.ahead_bytes) {
                    break at;
                }
                if board.is_over() && board.open.is_empty() {
                    drop(board);
                    // The writer may wait, as it did not know that this is the end.
                    self.has_changed.notify_all();
                    return None;
                }
                board = self.wait(board);
            };
            let (number, task, scan) = board.begin(at);
            drop(board);
            if let Some(piece) = self.read(number, &task, scan) {
                return Some(piece);
            }
        }
    }

    /// The next batch of a row group; `None` at its end.
    fn read(&self, number: u64, task: &Task, scan: Option<Scan>) -> Option<Piece> {
        let mut compressed_bytes = 0;
        let scan = scan.map_or_else(
            || {
                let (scan, bytes) = task.scan(true);
                compressed_bytes = bytes;
                scan
            },
            Ok,
        );
        let result = scan.and_then(|mut scan| Ok(scan.next()?.map(|batch| (scan, batch))));
        let mut board = self.lock();
        board.reader.read.bytes = board.reader.read.bytes.saturating_add(compressed_bytes);
        let piece = match result {
            Ok(Some((scan, batch))) => board.keep(number, scan, batch),
            Ok(None) => {
                board.end_of_group(number);
                None
            }
            // A damaged row group leaves the others readable.
            Err(error) => {
                board.reader.cant_read_group(task, &error);
                board.end_of_group(number);
                None
            }
        };
        drop(board);
        self.has_changed.notify_all();
        piece
    }

    /// Hands in the text of a piece.
    pub(super) fn give(&self, piece: &Piece, made: Made) {
        let mut board = self.lock();
        board.waiting_bytes += made.text.len();
        board.made.insert(piece.place, made);
        drop(board);
        self.has_changed.notify_all();
    }

    /// The next text to be written; `None` when all are, or on Ctrl-C.
    pub(super) fn next_made(&self) -> Option<Made> {
        let mut board = self.lock();
        loop {
            if board.is_stopped || interrupt::is_asked() {
                return None;
            }
            if let Some(made) = board.next_made() {
                drop(board);
                self.has_changed.notify_all();
                return Some(made);
            }
            if board.is_over() && board.open.is_empty() && board.ends.is_empty() {
                return None;
            }
            board = self.wait(board);
        }
    }

    /// Nobody wants more.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.has_changed.notify_all();
    }

    /// Ends the others where the thread that holds this panics, so that nobody waits for it.
    pub(super) fn stop_on_panic(&self) -> impl Drop {
        StopOnPanic(self)
    }
}

struct StopOnPanic<'a, 'r, 'q>(&'a Crew<'r, 'q>);

impl Drop for StopOnPanic<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl Board<'_, '_> {
    fn limit(&self) -> u64 {
        self.reader.request.limit.unwrap_or(u64::MAX)
    }

    /// Whether no row group will be opened any more.
    fn is_over(&self) -> bool {
        self.is_ended || self.is_stopped || interrupt::is_asked()
    }

    fn first_free(&self) -> Option<usize> {
        self.open.iter().position(|open| !open.is_busy)
    }

    /// The place among the open row groups of the one to read from; `None` where there is
    /// nothing to do now.
    fn choose(&mut self, ahead_bytes: usize) -> Option<usize> {
        if self.waiting_bytes > ahead_bytes {
            let is_awaited = |open: &&Open| (open.number, open.n_taken) == self.next && !open.is_busy;
            return self.open.front().filter(is_awaited).map(|_| 0);
        }
        let free = self.first_free();
        // Which rows are the first so many is known in order only.
        let is_in_order = self.reader.request.limit.is_some() && !self.open.is_empty();
        free.or_else(|| if is_in_order { None } else { self.open_next() })
    }

    /// Opens the next row group.
    fn open_next(&mut self) -> Option<usize> {
        if self.is_over() || self.passed >= self.limit() {
            self.is_ended = true;
            return None;
        }
        let Some(task) = self.reader.next_task() else {
            self.is_ended = true;
            return None;
        };
        self.rows_opened = self.rows_opened.saturating_add(task.rows());
        self.open.push_back(Open { number: self.n_opened, task, is_busy: false, scan: None, n_taken: 0 });
        self.n_opened += 1;
        Some(self.open.len() - 1)
    }

    fn begin(&mut self, at: usize) -> (u64, Task, Option<Scan>) {
        let open = &mut self.open[at];
        open.is_busy = true;
        (open.number, open.task.clone(), open.scan.take())
    }

    /// Notes that a batch was read, as much of it as is asked for.
    fn keep(&mut self, number: u64, scan: Scan, mut batch: Batch) -> Option<Piece> {
        let room = usize::try_from(self.limit() - self.passed).unwrap_or(usize::MAX);
        if room < batch.rows() {
            batch.truncate(room);
        }
        self.passed += batch.rows() as u64;
        let is_full = self.passed >= self.limit();
        let open = self.open.iter_mut().find(|open| open.number == number)?;
        let place = (number, open.n_taken);
        open.n_taken += 1;
        open.is_busy = false;
        open.scan = Some(scan);
        let file = Arc::clone(&open.task.file);
        if is_full {
            self.end_of_group(number);
        }
        Some(Piece { place, file, batch })
    }

    fn end_of_group(&mut self, number: u64) {
        let Some(at) = self.open.iter().position(|open| open.number == number) else { return };
        if let Some(open) = self.open.remove(at) {
            self.reader.progress.add_rows(open.task.rows());
            self.ends.insert(number, open.n_taken);
        }
    }

    /// Takes the text that is to be written next, where it is made.
    fn next_made(&mut self) -> Option<Made> {
        loop {
            if let Some(made) = self.made.remove(&self.next) {
                self.next.1 += 1;
                self.waiting_bytes -= made.text.len();
                return Some(made);
            }
            if self.ends.get(&self.next.0) != Some(&self.next.1) {
                return None;
            }
            self.ends.remove(&self.next.0);
            self.next = (self.next.0 + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use flow_common::time::Timestamp;

    use super::*;
    use crate::engine::reader::Wants;
    use crate::live::Progress;
    use crate::request::Request;
    use crate::{Env, Zone, cli};

    /// The last thread to end found out that there is nothing more, and told nobody.
    #[test]
    fn a_writer_that_waits_hears_of_the_end() {
        let Ok(cli::Parsed::Args(args)) = cli::parse(["flowdump".into()]) else { panic!("not a question") };
        let request = Request::new(args, Env { now: Timestamp(0), zone: Zone::Utc }).unwrap();
        let progress = Progress::new(1, false);
        let mut reader = Reader::new(&request, Vec::new(), Wants::default(), &progress);
        let crew = Crew::new(&mut reader, 1);
        let (ended, has_ended) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(crew.next_made().is_none());
                ended.send(()).unwrap();
            });
            // Time to begin to wait; if it does later, there is nothing to hear of.
            thread::sleep(Duration::from_millis(20));
            assert!(crew.take().is_none());
            let heard = has_ended.recv_timeout(Duration::from_secs(10));
            crew.stop();
            heard.unwrap();
        });
    }
}
