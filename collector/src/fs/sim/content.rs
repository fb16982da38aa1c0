//! What a file of the disk in memory holds: now, when last synced, and between.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Unit of what survives.
pub(super) const PAGE_BYTES: usize = 4_096;

/// Versions of a page that are remembered between two syncs.
const VERSIONS_MAX: usize = 8;

type Page = Arc<[u8; PAGE_BYTES]>;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) is_directory: bool,
    pub(super) n_open: usize,
    pub(super) is_poisoned: bool,
    pub(super) live: Content,
    pub(super) durable: Content,
    /// Versions of pages written since the last sync, oldest first.
    pub(super) versions: BTreeMap<u64, Vec<Page>>,
    /// Lengths since.
    pub(super) lengths: Vec<u64>,
}

/// Pages that are absent are zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) pages: BTreeMap<u64, Page>,
    /// Room taken beyond the pages.
    pub(super) allocated_bytes: u64,
}

impl Inode {
    pub(super) fn write(&mut self, mut bytes: &[u8], mut offset: u64) {
        while !bytes.is_empty() {
            let (page, start) = (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize);
            let n = bytes.len().min(PAGE_BYTES - start);
            let mut content = self.live.pages.get(&page).map_or([0; PAGE_BYTES], |page| **page);
            content[start..start + n].copy_from_slice(&bytes[..n]);
            let content = Arc::new(content);
            self.live.pages.insert(page, Arc::clone(&content));
            let versions = self.versions.entry(page).or_default();
            if versions.len() == VERSIONS_MAX {
                versions.remove(VERSIONS_MAX / 2);
            }
            versions.push(content);
            bytes = &bytes[n..];
            offset += n as u64;
        }
        self.live.bytes = self.live.bytes.max(offset);
        if self.lengths.last() != Some(&self.live.bytes) {
            self.lengths.push(self.live.bytes);
        }
    }

    pub(super) fn sync(&mut self) {
        for page in std::mem::take(&mut self.versions).into_keys() {
            self.durable.pages.insert(page, Arc::clone(&self.live.pages[&page]));
        }
        self.durable.bytes = self.live.bytes;
        self.durable.allocated_bytes = self.live.allocated_bytes;
        self.lengths.clear();
    }
}

impl Content {
    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> usize {
        let n_bytes =
            bytes.len().min(usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < n_bytes {
            let at = offset + done as u64;
            let (page, start) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
            let n = (n_bytes - done).min(PAGE_BYTES - start);
            match self.pages.get(&page) {
                Some(page) => bytes[done..done + n].copy_from_slice(&page[start..start + n]),
                None => bytes[done..done + n].fill(0),
            }
            done += n;
        }
        n_bytes
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let allocated_pages = self.allocated_bytes.div_ceil(PAGE_BYTES as u64);
        let beyond = self.pages.range(allocated_pages..).count() as u64;
        (allocated_pages + beyond) * PAGE_BYTES as u64
    }

    /// Room that a write takes beyond what the file has.
    pub(super) fn growth(&self, offset: u64, n_bytes: usize) -> u64 {
        let last = (offset + n_bytes as u64).div_ceil(PAGE_BYTES as u64);
        let is_new =
            |page: &u64| *page * PAGE_BYTES as u64 >= self.allocated_bytes && !self.pages.contains_key(page);
        (offset / PAGE_BYTES as u64..last).filter(is_new).count() as u64 * PAGE_BYTES as u64
    }

    /// Drops what lies beyond the length.
    pub(super) fn cut(&mut self) {
        self.pages.split_off(&self.bytes.div_ceil(PAGE_BYTES as u64));
        let rest = (self.bytes % PAGE_BYTES as u64) as usize;
        if rest > 0
            && let Some(page) = self.pages.get_mut(&(self.bytes / PAGE_BYTES as u64))
        {
            Arc::make_mut(page)[rest..].fill(0);
        }
    }
}
