//! Which directories may get files now: of every tree the hours that may still change.
//!
//! Trees are looked for rarely. In between a look costs a `stat` for each directory of
//! the previous, this and the next hour, and those that changed are listed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flow_common::layout::{EXTENSION, Hierarchy, NFDUMP_HIERARCHIES, Slot, parse_part_name};
use flow_common::limits::{DIRECTORY_DEPTH_MAX, DIRECTORY_QUIET_SECS, FOLLOW_TREES_SECS};
use flow_common::time::Timestamp;

const HOUR_SECS: i64 = 3_600;

/// The directories below some roots that are looked at.
#[derive(Debug)]
pub(crate) struct Directories {
    roots: Vec<PathBuf>,
    /// Files received before are of no interest.
    since: Timestamp,
    /// Roots of trees, and how files are spread below each.
    trees: BTreeMap<PathBuf, Vec<Hierarchy>>,
    /// When trees were looked for last.
    looked: Option<Instant>,
    /// Whether all hours since then were listed.
    is_caught_up: bool,
    /// Whether any file was ever found.
    has_files: bool,
    /// What each directory was when it was listed last.
    listed: BTreeMap<PathBuf, Stamp>,
}

/// A directory that was listed.
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    /// Whether its hour is over.
    pub(crate) is_past: bool,
    pub(crate) names: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    identity: (u64, u64),
    changed: (i64, i64),
}

impl Directories {
    pub(crate) fn new(roots: Vec<PathBuf>, since: Timestamp) -> Self {
        Self {
            roots,
            since,
            trees: BTreeMap::new(),
            looked: None,
            is_caught_up: false,
            has_files: false,
            listed: BTreeMap::new(),
        }
    }

    /// The directories that changed since the last call, with what they hold.
    pub(crate) fn changed(&mut self, now: Timestamp) -> Vec<Listed> {
        let is_due = |looked: Instant| looked.elapsed() >= Duration::from_secs(FOLLOW_TREES_SECS);
        if self.looked.is_none_or(is_due) || !self.has_files {
            self.look_for_trees(now);
        }
        let (hours, recent) = (self.hours(now), recent(now));
        let mut changed = Vec::new();
        let mut watched = BTreeSet::new();
        for (root, hierarchies) in &self.trees {
            for (path, is_past) in directories(root, hierarchies, &hours, now) {
                if !watched.insert(path.clone()) {
                    continue;
                }
                if let Some((stamp, names)) = list_if_changed(&path, self.listed.get(&path), now) {
                    self.listed.insert(path.clone(), stamp);
                    self.has_files |= !names.is_empty();
                    changed.push(Listed { path, identity: stamp.identity, is_past, names });
                }
            }
        }
        self.is_caught_up = true;
        // What is over now was listed just now for the last time.
        let kept: BTreeSet<_> = self
            .trees
            .iter()
            .flat_map(|(root, hierarchies)| directories(root, hierarchies, &recent, now))
            .map(|(path, _)| path)
            .collect();
        self.listed.retain(|path, _| kept.contains(path));
        changed
    }

    /// Whether a directory may still get files.
    pub(crate) fn is_watched(&self, path: &Path) -> bool {
        self.listed.contains_key(path)
    }

    /// Hours that are looked at, by their first second.
    fn hours(&self, now: Timestamp) -> Vec<i64> {
        let recent = recent(now);
        if self.is_caught_up {
            return recent;
        }
        let first = self.since.secs().div_euclid(HOUR_SECS) * HOUR_SECS;
        let first = recent.first().map_or(first, |&recent| recent.min(first));
        let last = recent.last().copied().unwrap_or(first);
        (first..=last).step_by(HOUR_SECS as usize).collect()
    }

    /// Looks for trees: every directory that is not a level within one.
    fn look_for_trees(&mut self, now: Timestamp) {
        self.looked = Some(Instant::now());
        let hours = self.hours(now);
        let mut known = HashSet::new();
        let mut pending: Vec<_> = self.roots.iter().map(|root| (root.clone(), 0)).collect();
        while let Some((path, depth)) = pending.pop() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if !metadata.is_dir() || !known.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            let of_hour = |hierarchy: &Hierarchy| {
                directories(&path, std::slice::from_ref(hierarchy), &hours, now)
                    .any(|(directory, _)| directory.is_dir())
            };
            let hierarchies = (0..NFDUMP_HIERARCHIES.len() as u8).map(Hierarchy::Nfdump);
            let hierarchies = hierarchies.chain([Hierarchy::Partitions]).filter(of_hour).collect();
            self.trees.insert(path.clone(), hierarchies);
            if depth < DIRECTORY_DEPTH_MAX {
                let below = fs::read_dir(&path).into_iter().flatten().flatten();
                let is_tree = |name: &str| !name.starts_with('.') && !is_level(name);
                let below = below.filter(|entry| {
                    entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
                        && entry.file_name().to_str().is_none_or(is_tree)
                });
                pending.extend(below.map(|entry| (entry.path(), depth + 1)));
            }
        }
    }
}

/// The previous, this and the next hour: clocks differ.
fn recent(now: Timestamp) -> Vec<i64> {
    let hour = now.secs().div_euclid(HOUR_SECS) * HOUR_SECS;
    [hour - HOUR_SECS, hour, hour + HOUR_SECS].into()
}

/// Directories of some hours, and whether the hour is over. Those of whole days never are.
fn directories<'a>(
    root: &'a Path,
    hierarchies: &'a [Hierarchy],
    hours: &'a [i64],
    now: Timestamp,
) -> impl Iterator<Item = (PathBuf, bool)> + 'a {
    hierarchies.iter().flat_map(move |&hierarchy| {
        let of = move |start_secs: i64| {
            let slot = Slot { start_secs, end_secs: start_secs + HOUR_SECS };
            slot.directory(hierarchy)
        };
        hours.iter().map(move |&hour| {
            let directory = of(hour);
            let is_over = hour + HOUR_SECS <= now.secs() && of(hour + HOUR_SECS) != directory;
            (root.join(directory), is_over)
        })
    })
}

/// Whether a directory is called like a level within a tree: `date=…`, `hour=…`, a year
/// or a day.
fn is_level(name: &str) -> bool {
    let is_day = |name: &str| {
        let parts: Vec<_> = name.split('-').map(str::len).collect();
        matches!(parts[..], [4] | [4, 2, 2]) && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    name.starts_with("date=") || name.starts_with("hour=") || is_day(name)
}

/// What a directory holds, unless it is what it was when it was listed as `before`.
fn list_if_changed(path: &Path, before: Option<&Stamp>, now: Timestamp) -> Option<(Stamp, BTreeSet<String>)> {
    let stamp = stamp(path).ok()?;
    // A change within a tick of the clock doesn't show.
    let is_quiet = stamp.changed.0.saturating_add(DIRECTORY_QUIET_SECS) < now.secs();
    if is_quiet && before == Some(&stamp) {
        return None;
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path).ok()? {
        let Ok(name) = entry.ok()?.file_name().into_string() else { continue };
        let is_visible =
            !name.starts_with('.') && Path::new(&name).extension().is_some_and(|e| e == EXTENSION);
        if is_visible || parse_part_name(&name).is_some() {
            names.insert(name);
        }
    }
    Some((stamp, names))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Stamp {
        identity: (metadata.dev(), metadata.ino()),
        changed: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_262_400; // 2026-11-21T12:00:00Z

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(NOON + secs)
    }

    /// What is listed of a tree, relative to its root.
    #[track_caller]
    fn check(directories: &mut Directories, now: Timestamp, expected: &[&str]) {
        let changed = directories.changed(now);
        let root = directories.roots[0].clone();
        let listed = changed.iter().flat_map(|listed| {
            let path = listed.path.strip_prefix(&root).unwrap().display().to_string();
            let of =
                move |name: &String| format!("{path}/{name}{}", if listed.is_past { " (past)" } else { "" });
            listed.names.iter().map(of)
        });
        assert_eq!(listed.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn trees_below_several_roots_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let roots = ["east", "west"].map(|name| directory.path().join(name));
        for root in &roots {
            let hour = root.join("date=2026-11-21/hour=12");
            fs::create_dir_all(&hour).unwrap();
            fs::write(hour.join(".flowcap.202611211200.0000.part"), "").unwrap();
        }
        let mut directories = Directories::new(roots.to_vec(), at(10));
        let listed = directories.changed(at(10));
        let with_parts = |root: &PathBuf| {
            listed
                .iter()
                .filter(|listed| listed.path.starts_with(root))
                .map(|listed| listed.names.len())
                .sum::<usize>()
        };
        assert_eq!(roots.each_ref().map(with_parts), [1, 1]);
    }

    #[test]
    fn hours_that_may_change_are_listed_in_every_tree() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("flows");
        fs::create_dir(&root).unwrap();
        let write = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let mut directories = Directories::new(vec![root.clone()], at(10));
        check(&mut directories, at(10), &[]);
        for path in [
            "date=2026-11-21/hour=12/.flowcap.202611211200.0000.part",
            "date=2026-11-21/hour=12/.flowcap.202611211200.0001.part.tmp",
            "date=2026-11-21/hour=11/flowcap.202611211155.parquet",
            "date=2026-11-21/hour=10/flowcap.202611211000.parquet",
            "192-0-2-1/2026/11/21/12/flowcap.202611211200.parquet",
            "192-0-2-1/2026/11/21/10/flowcap.202611211000.parquet",
            ".flowcap/options/date=2026-11-21/hour=12/flowcap.202611211200.options",
        ] {
            write(path);
        }
        directories.looked = None;
        let (part, of_router) = (
            "date=2026-11-21/hour=12/.flowcap.202611211200.0000.part",
            "192-0-2-1/2026/11/21/12/flowcap.202611211200.parquet",
        );
        let before = "date=2026-11-21/hour=11/flowcap.202611211155.parquet (past)";
        check(&mut directories, at(10), &[before, part, of_router]);
        // They were written just now, in this year; so nothing is quiet yet but to a later clock.
        let later = Timestamp(i64::MAX / 2);
        assert!(list_if_changed(&root, Some(&stamp(&root).unwrap()), later).is_none());
        assert!(list_if_changed(&root, Some(&stamp(&root).unwrap()), at(0)).is_some());
        let [part, of_router] = [part, of_router].map(|path| format!("{path} (past)"));
        check(&mut directories, at(3_700), &[&part, &of_router]);
        check(&mut directories, at(7_300), &[]);
    }

    #[test]
    fn the_hours_since_a_start_in_the_past_are_listed_once() {
        let directory = tempfile::tempdir().unwrap();
        for hour in 0..24 {
            let path = directory.path().join(format!("date=2026-11-21/hour={hour:02}"));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("a.parquet"), "").unwrap();
        }
        let mut directories = Directories::new(vec![directory.path().to_owned()], at(-3 * 3_600 - 1));
        assert_eq!(directories.changed(at(5)).len(), 7); // 08 to 13, and the root, as with `-S 0`
        assert_eq!(directories.listed.len(), 4);
    }

    #[test]
    fn levels_of_a_tree_are_no_trees() {
        for (name, expected) in [
            ("date=2026-11-21", true),
            ("hour=12", true),
            ("2026", true),
            ("2026-11-21", true),
            ("192-0-2-1", false),
            ("192-168-100-1", false),
            ("router1", false),
            ("12", false),
        ] {
            assert_eq!(is_level(name), expected, "{name}");
        }
    }
}
