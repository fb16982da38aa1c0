//! Groups that have no room in memory, in a file without a name.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::exact::{Detail, Groups, Sum};
use super::extras::read_pair;
use super::pairs::Pair;

/// Octets read at a time.
const READ_BYTES: usize = 256 << 10;

/// Groups on disk, run after run; each run is of one partition.
#[derive(Debug)]
pub(super) struct Spill {
    file: BufWriter<File>,
    runs: Vec<Run>,
    bytes: u64,
}

#[derive(Debug, Clone)]
struct Run {
    partition: usize,
    start: u64,
    groups: usize,
    /// Where what is measured begins, by measure.
    extras: Vec<u64>,
}

/// A run of groups that were read, and where they are now.
#[derive(Debug)]
pub(super) struct ReadRun {
    extras: Vec<u64>,
    pub(super) map: Vec<u32>,
}

impl Spill {
    /// A file that is gone when the process is.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { file: BufWriter::with_capacity(READ_BYTES, file), runs: Vec::new(), bytes: 0 })
    }

    fn put(&mut self, word: u64) -> io::Result<()> {
        self.bytes += 8;
        self.file.write_all(&word.to_le_bytes())
    }

    /// Appends all groups of a partition.
    pub(super) fn write(&mut self, partition: usize, groups: &Groups) -> io::Result<()> {
        if groups.len() == 0 {
            return Ok(());
        }
        let mut run = Run { partition, start: self.bytes, groups: groups.len(), extras: Vec::new() };
        for group in 0..groups.len() {
            let hash = [groups.hash(group)];
            let (sum, detail) = (groups.sum(group).to_words(), groups.detail(group).to_words());
            for words in [&hash[..], groups.key(group), &sum, &detail] {
                words.iter().try_for_each(|word| self.put(*word))?;
            }
        }
        for state in groups.extras.states() {
            run.extras.push(self.bytes);
            state.write(groups.len(), &mut |word| self.put(word))?;
        }
        self.runs.push(run);
        Ok(())
    }

    /// Adds the groups of a partition to `into`, whose keys have `width` words, with what is
    /// measured but for values and spans, which are read of these runs.
    pub(super) fn read(
        &mut self,
        partition: usize,
        width: usize,
        into: &mut Groups,
    ) -> io::Result<Vec<ReadRun>> {
        self.file.flush()?;
        let words_a_group = 1 + width + Sum::WORDS + Detail::WORDS;
        let mut read = Vec::new();
        for run in self.runs.iter().filter(|run| run.partition == partition) {
            let mut reader = self.reader(run.start)?;
            let mut octets = vec![0; words_a_group * 8];
            let mut map = Vec::new();
            for _ in 0..run.groups {
                reader.read_exact(&mut octets)?;
                let (words, _) = octets.as_chunks::<8>();
                let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
                let (key, rest) = words[1..].split_at(width);
                let (sum, detail) = rest.split_at(Sum::WORDS);
                let sum = Sum::from_words(sum.try_into().unwrap_or_default());
                let detail = Detail::from_words(detail.try_into().unwrap_or_default());
                let group = into.add(words[0], key, &sum, &detail);
                if !run.extras.is_empty() {
                    map.push(group);
                }
            }
            for (at, &start) in run.extras.iter().enumerate() {
                let mut reader = self.reader(start)?;
                into.extras.read_small(at, &map, &mut || word(&mut reader))?;
            }
            if !map.is_empty() {
                read.push(ReadRun { extras: run.extras.clone(), map });
            }
        }
        Ok(read)
    }

    fn reader(&self, start: u64) -> io::Result<io::BufReader<&File>> {
        let mut file = self.file.get_ref();
        file.seek(SeekFrom::Start(start))?;
        Ok(io::BufReader::with_capacity(READ_BYTES, file))
    }

    /// How many values or spans a run has of the measure at `at`.
    pub(super) fn pairs(&self, run: &ReadRun, at: usize) -> io::Result<u64> {
        let start = run.extras.get(at).copied().unwrap_or(self.bytes);
        word(&mut self.reader(start)?)
    }

    /// Hands the values or spans of a run, which have `words` each, to `with`. Their groups are
    /// those of the run.
    pub(super) fn each_pair(
        &self,
        run: &ReadRun,
        (at, words): (usize, usize),
        with: &mut dyn FnMut(Pair<'_>),
    ) -> io::Result<()> {
        let mut reader = self.reader(run.extras.get(at).copied().unwrap_or(self.bytes))?;
        let mut get = || word(&mut reader);
        for _ in 0..get()? {
            read_pair(words, &mut get, with)?;
        }
        Ok(())
    }
}

fn word(reader: &mut impl Read) -> io::Result<u64> {
    let mut octets = [0; 8];
    reader.read_exact(&mut octets)?;
    Ok(u64::from_le_bytes(octets))
}
