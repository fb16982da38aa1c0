//! Groups that have no room in memory, in a file without a name.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::exact::{Detail, Groups, Sum};

/// Octets read at a time.
const READ_BYTES: usize = 256 << 10;

/// Groups on disk, run after run; each run is of one partition.
#[derive(Debug)]
pub(super) struct Spill {
    file: BufWriter<File>,
    runs: Vec<Run>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    partition: usize,
    start: u64,
    groups: usize,
}

impl Spill {
    /// A file that is gone when the process is.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { file: BufWriter::with_capacity(READ_BYTES, file), runs: Vec::new(), bytes: 0 })
    }

    /// Appends all groups of a partition.
    pub(super) fn write(&mut self, partition: usize, groups: &Groups) -> io::Result<()> {
        if groups.len() == 0 {
            return Ok(());
        }
        let run = Run { partition, start: self.bytes, groups: groups.len() };
        for group in 0..groups.len() {
            let hash = [groups.hash(group)];
            let (sum, detail) = (groups.sum(group).to_words(), groups.detail(group).to_words());
            for words in [&hash[..], groups.key(group), &sum, &detail] {
                for word in words {
                    self.file.write_all(&word.to_le_bytes())?;
                }
                self.bytes += 8 * words.len() as u64;
            }
        }
        self.runs.push(run);
        Ok(())
    }

    /// Adds the groups of a partition to `into`, whose keys have `width` words.
    pub(super) fn read(&mut self, partition: usize, width: usize, into: &mut Groups) -> io::Result<()> {
        self.file.flush()?;
        let words_a_group = 1 + width + Sum::WORDS + Detail::WORDS;
        for run in self.runs.iter().filter(|run| run.partition == partition) {
            let mut file = self.file.get_ref();
            file.seek(SeekFrom::Start(run.start))?;
            let mut reader = io::BufReader::with_capacity(READ_BYTES, file);
            let mut octets = vec![0; words_a_group * 8];
            for _ in 0..run.groups {
                reader.read_exact(&mut octets)?;
                let (words, _) = octets.as_chunks::<8>();
                let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
                let (key, rest) = words[1..].split_at(width);
                let (sum, detail) = rest.split_at(Sum::WORDS);
                let sum = Sum::from_words(sum.try_into().unwrap_or_default());
                let detail = Detail::from_words(detail.try_into().unwrap_or_default());
                into.add(words[0], key, &sum, &detail);
            }
        }
        Ok(())
    }
}
