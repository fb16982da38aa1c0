//! Where files lie and what their names mean.
//!
//! ```text
//! <root>/date=2026-11-21/hour=12/flowcap.202611211230.parquet     visible
//! <root>/date=2026-11-21/hour=12/.flowcap.202611211235.0000.part  of the open slot
//! <root>/.flowcap/options/date=…/hour=…/flowcap.202611211230.options  options data records
//! <root>/.flowcap/names.table  side tables, see [`crate::tables`]
//! ```
//!
//! Times in names are UTC; a file lies wholly in one hour. An operator may choose one of
//! nfdump's hierarchies instead of `date=…/hour=…`; `.flowcap` stays where it is.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::time::Timestamp;

/// Directory of what is not flow records, below the root of a tree.
pub const STATE_DIR: &str = ".flowcap";

/// Extension of a visible file of flow records.
pub const EXTENSION: &str = "parquet";

/// Extension of a file of options data records. Parquet too, but no glob for
/// `*.parquet` may count its rows as flows (DuckDB's `**` enters hidden directories).
pub const OPTIONS_EXTENSION: &str = "options";

/// Before the name of a directory whose files others have taken the place of.
const REPLACED_PREFIX: &str = ".flowcap.replaced.";

/// Behind the names of files that one of the whole hour has taken the place of.
pub const REPLACED_EXTENSION: &str = "replaced";

/// How files are spread over directories below the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hierarchy {
    /// `date=2026-11-21/hour=12`, which other programs read as two columns.
    #[default]
    Partitions,
    /// One of nfdump's (`-S`): a number below the length of [`NFDUMP_HIERARCHIES`].
    Nfdump(u8),
}

/// nfdump's hierarchies by their numbers, as formats of a slot's start.
pub const NFDUMP_HIERARCHIES: [&str; 9] = [
    "",
    "%Y/%m/%d",
    "%Y/%m/%d/%H",
    "%Y/%W/%u",
    "%Y/%W/%u/%H",
    "%Y/%j",
    "%Y/%j/%H",
    "%Y-%m-%d",
    "%Y-%m-%d/%H",
];

impl Hierarchy {
    /// Whether each directory is of one hour: only those are compacted.
    pub fn is_hourly(self) -> bool {
        self.format().ends_with("%H")
    }

    fn format(self) -> &'static str {
        match self {
            Self::Partitions => "date=%Y-%m-%d/hour=%H",
            Self::Nfdump(n) => NFDUMP_HIERARCHIES.get(usize::from(n)).copied().unwrap_or_default(),
        }
    }
}

/// A time slot: the half-open interval `[start, end)` of receive times in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// First second of the slot.
    pub start_secs: i64,
    /// First second after it.
    pub end_secs: i64,
}

const HOUR_SECS: i64 = 3_600;
/// What tells a file of a whole hour from one of its first slot.
const HOUR: &str = "hour";

impl Slot {
    /// The slot of `length_secs` around `now`, aligned to the epoch and cut at
    /// the hour, so that a file lies wholly in one hour whatever the length.
    pub fn around(now: Timestamp, length_secs: u32) -> Self {
        let (now_secs, length) = (now.secs(), i64::from(length_secs.max(1)));
        let hour = now_secs.div_euclid(HOUR_SECS) * HOUR_SECS;
        let start = now_secs.div_euclid(length) * length;
        Self { start_secs: start.max(hour), end_secs: (start + length).min(hour + HOUR_SECS) }
    }

    /// Whether `time` lies in the slot.
    pub fn contains(self, time: Timestamp) -> bool {
        (self.start_secs..self.end_secs).contains(&time.secs())
    }

    /// First instant of the slot.
    pub fn start(self) -> Timestamp {
        Timestamp::from_secs(self.start_secs)
    }

    /// First instant after the slot.
    pub fn end(self) -> Timestamp {
        Timestamp::from_secs(self.end_secs)
    }

    /// Directory of the slot below the root: `date=2026-11-21/hour=12`; empty where
    /// files lie in the root itself.
    pub fn directory(self, hierarchy: Hierarchy) -> String {
        directory(self.start_secs, hierarchy)
    }

    /// Name of the n-th file of the slot: `flowcap.202611211230.parquet`, then
    /// `flowcap.202611211230.1.parquet`. A slot that does not begin at a full
    /// minute has its seconds in the name.
    pub fn file_name(self, n: u32) -> String {
        self.numbered_name(n, EXTENSION)
    }

    /// Name of the n-th file of options data records of the slot.
    pub fn options_name(self, n: u32) -> String {
        self.numbered_name(n, OPTIONS_EXTENSION)
    }

    fn numbered_name(self, n: u32, extension: &str) -> String {
        let stamp = self.stamp();
        match n {
            0 => format!("flowcap.{stamp}.{extension}"),
            n => format!("flowcap.{stamp}.{n}.{extension}"),
        }
    }

    /// Name of the n-th part of the open slot, hidden from readers.
    pub fn part_name(self, n: u32) -> String {
        format!(".flowcap.{}.{n:04}.part", self.stamp())
    }

    /// Its start in names, UTC: `202611211230`, with its seconds where it does not
    /// begin at a full minute.
    pub fn stamp(self) -> String {
        let format = if self.start_secs % 60 == 0 { "%Y%m%d%H%M" } else { "%Y%m%d%H%M%S" };
        utc(self.start_secs).format(format).to_string()
    }
}

/// Name of the n-th file of all slots of an hour, by its first second:
/// `flowcap.202611211200.hour.parquet`, then `flowcap.202611211200.hour.1.parquet`. No
/// slot has such a name.
pub fn hour_name(start_secs: i64, n: u32) -> String {
    let stamp = Slot { start_secs, end_secs: start_secs + HOUR_SECS }.stamp();
    match n {
        0 => format!("flowcap.{stamp}.{HOUR}.{EXTENSION}"),
        n => format!("flowcap.{stamp}.{HOUR}.{n}.{EXTENSION}"),
    }
}

/// First second and number of a file of a whole hour; `None` for any other name.
pub fn parse_hour_name(name: &str) -> Option<(i64, u32)> {
    let stem = name.strip_prefix("flowcap.")?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let (stamp, rest) = stem.split_once('.')?;
    let n = match rest.strip_prefix(HOUR)? {
        "" => 0,
        n => n.strip_prefix('.')?.parse().ok().filter(|&n: &u32| n > 0)?,
    };
    Some((parse_stamp(stamp).filter(|secs| secs % HOUR_SECS == 0)?, n))
}

/// First second of the hour whose files alone lie where this one does; `None` where the
/// directory is not of one hour.
pub fn hour_of(file: &Path) -> Option<i64> {
    let name = file.file_name()?.to_str()?;
    let (start_secs, _) = parse_file_name(name)?;
    let nfdump = (0..NFDUMP_HIERARCHIES.len() as u8).map(Hierarchy::Nfdump);
    let hourly = nfdump.chain([Hierarchy::Partitions]).filter(|hierarchy| hierarchy.is_hourly());
    let mut directories = hourly.map(|hierarchy| directory(start_secs, hierarchy));
    let parent = file.parent()?;
    directories
        .any(|directory| parent.ends_with(directory))
        .then(|| start_secs - start_secs.rem_euclid(HOUR_SECS))
}

/// Where the files of a directory lie for a while after a file of the whole hour has taken
/// their place, each with [`REPLACED_EXTENSION`] behind its name: whoever listed them before
/// can still read them. Hidden, and beside the directory.
pub fn replaced_directory(directory: &Path) -> Option<PathBuf> {
    let name = directory.file_name()?.to_str()?;
    Some(directory.with_file_name(format!("{REPLACED_PREFIX}{name}")))
}

/// The inverse of [`replaced_directory`]; `None` for any other path.
pub fn replaced_for(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_prefix(REPLACED_PREFIX)?;
    (!name.is_empty()).then(|| path.with_file_name(name))
}

fn utc(secs: i64) -> NaiveDateTime {
    DateTime::from_timestamp(secs, 0).unwrap_or_default().naive_utc()
}

fn directory(start_secs: i64, hierarchy: Hierarchy) -> String {
    utc(start_secs).format(hierarchy.format()).to_string()
}

/// Directories between the root of a tree and a file, by the file's name: the deepest
/// hierarchy that has files of its slot there.
pub fn levels(file: &Path) -> usize {
    let start_secs = || {
        let name = file.file_name()?.to_str()?;
        let name = name.strip_prefix('.').unwrap_or(name).strip_prefix("flowcap.")?;
        parse_stamp(name.split('.').next()?)
    };
    let (Some(start_secs), Some(parent)) = (start_secs(), file.parent()) else { return 0 };
    // Of most trees the last name says what it is.
    let is_partition = parent.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"hour="));
    let n_nfdump = if is_partition { 0 } else { NFDUMP_HIERARCHIES.len() as u8 };
    let nfdump = (0..n_nfdump).map(Hierarchy::Nfdump);
    let directories = nfdump.chain([Hierarchy::Partitions]).map(|hierarchy| directory(start_secs, hierarchy));
    let fitting = directories.filter(|directory| parent.ends_with(directory));
    fitting.map(|directory| Path::new(&directory).components().count()).max().unwrap_or(0)
}

/// Start of the slot, in seconds since the epoch, and number of a visible file, be it of a
/// slot or of a whole hour; `None` for any other name.
pub fn parse_file_name(name: &str) -> Option<(i64, u32)> {
    parse_slot_name(name).or_else(|| parse_hour_name(name))
}

/// The same of a visible file of one slot alone.
pub fn parse_slot_name(name: &str) -> Option<(i64, u32)> {
    parse_numbered_name(name, EXTENSION)
}

/// The same of a file of options data records.
pub fn parse_options_name(name: &str) -> Option<(i64, u32)> {
    parse_numbered_name(name, OPTIONS_EXTENSION)
}

fn parse_numbered_name(name: &str, extension: &str) -> Option<(i64, u32)> {
    let stem = name.strip_prefix("flowcap.")?.strip_suffix(extension)?.strip_suffix('.')?;
    let (stamp, n) = match stem.split_once('.') {
        Some((stamp, n)) => (stamp, n.parse().ok().filter(|&n: &u32| n > 0)?),
        None => (stem, 0),
    };
    Some((parse_stamp(stamp)?, n))
}

/// Start of the slot, in seconds since the epoch, and number of a part; `None` for
/// any other name, also for that of a part not yet whole.
pub fn parse_part_name(name: &str) -> Option<(i64, u32)> {
    let (stamp, n) = name.strip_prefix(".flowcap.")?.strip_suffix(".part")?.split_once('.')?;
    let is_ours = n.len() == 4 || n.len() > 4 && !n.starts_with('0');
    let n = n.parse().ok().filter(|_| is_ours && n.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((parse_stamp(stamp)?, n))
}

/// `YYYYmmddHHMM` or `YYYYmmddHHMMSS`, UTC, as seconds since the epoch.
fn parse_stamp(stamp: &str) -> Option<i64> {
    if !stamp.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(stamp.len(), 12 | 14) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| stamp.get(range)?.parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(stamp.get(0..4)?.parse().ok()?, number(4..6)?, number(6..8)?)?;
    let secs = if stamp.len() == 14 { number(12..14)? } else { 0 };
    let time = NaiveTime::from_hms_opt(number(8..10)?, number(10..12)?, secs)?;
    Some(NaiveDateTime::new(date, time).and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_262_400; // 2026-11-21T12:00:00Z

    #[test]
    fn slots_are_aligned_and_never_cross_an_hour() {
        let check = |after_noon: i64, length, start: i64, end: i64| {
            let slot = Slot::around(Timestamp::from_secs(NOON + after_noon), length);
            assert_eq!((slot.start_secs - NOON, slot.end_secs - NOON), (start, end));
            assert!(slot.contains(Timestamp::from_secs(NOON + after_noon)));
        };
        check(0, 300, 0, 300);
        check(1_799, 300, 1_500, 1_800);
        check(3_599, 300, 3_300, 3_600);
        check(1, 3_600, 0, 3_600);
        check(3_599, 7_200, 0, 3_600); // longer than an hour
        check(3_599, 7, 3_597, 3_600); // cut short at the hour
    }

    #[test]
    fn names_are_the_inverse_of_their_parse() {
        for (secs, length, n, name) in [
            (NOON + 1_800, 300, 0, "flowcap.202611211230.parquet"),
            (NOON + 1_800, 300, 2, "flowcap.202611211230.2.parquet"),
            (NOON + 5, 5, 0, "flowcap.20261121120005.parquet"),
        ] {
            let slot = Slot::around(Timestamp::from_secs(secs), length);
            assert_eq!(slot.file_name(n), name);
            assert_eq!(parse_file_name(name), Some((secs, n)));
            assert_eq!(slot.directory(Hierarchy::Partitions), "date=2026-11-21/hour=12");
            assert_eq!(parse_options_name(&slot.options_name(n)), Some((secs, n)));
            assert_eq!(parse_options_name(name), None);
        }
        for name in [
            "flowcap.2026.parquet",
            "flowcap.202613211230.parquet",
            "x.parquet",
            ".flowcap.202611211230.0000.part",
            "flowcap.202611211230.0.parquet",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_hours_are_the_inverse_of_their_parse() {
        let slot = Slot::around(Timestamp::from_secs(NOON), 300);
        for (n, name) in
            [(0, "flowcap.202611211200.hour.parquet"), (7, "flowcap.202611211200.hour.7.parquet")]
        {
            assert_eq!(hour_name(NOON, n), name);
            assert_eq!(parse_hour_name(name), Some((NOON, n)));
            assert_eq!(parse_file_name(name), Some((NOON, n)));
            assert_ne!(name, slot.file_name(n));
        }
        for name in [
            "flowcap.202611211200.parquet",
            "flowcap.202611211205.hour.parquet",
            "flowcap.202611211200.hour.0.parquet",
            "flowcap.202611211200.hourly.parquet",
            ".flowcap.202611211200.hour.parquet",
        ] {
            assert_eq!(parse_hour_name(name), None, "{name}");
        }
        for (path, expected) in [
            ("f/date=2026-11-21/hour=12/flowcap.202611211235.parquet", Some(NOON)),
            ("2026/11/21/12/flowcap.202611211200.hour.parquet", Some(NOON)),
            ("2026-11-21/12/flowcap.20261121120005.parquet", Some(NOON)),
            ("2026/11/21/flowcap.202611211235.parquet", None),
            ("date=2026-11-21/hour=13/flowcap.202611211235.parquet", None),
            ("flowcap.202611211235.parquet", None),
        ] {
            assert_eq!(hour_of(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn names_of_parts_are_the_inverse_of_their_parse() {
        for (secs, n, name) in [
            (NOON + 1_800, 0, ".flowcap.202611211230.0000.part"),
            (NOON + 5, 42, ".flowcap.20261121120005.0042.part"),
            (NOON, 12_345, ".flowcap.202611211200.12345.part"),
        ] {
            assert_eq!(Slot::around(Timestamp::from_secs(secs), 5).part_name(n), name);
            assert_eq!(parse_part_name(name), Some((secs, n)));
        }
        for name in [
            ".flowcap.202611211230.0000.part.tmp",
            ".flowcap.202611211230.0000.tmp",
            ".flowcap.202611211230.part",
            ".flowcap.202611211230.000.part",
            ".flowcap.202611211230.00000.part",
            ".flowcap.202611211230.+001.part",
            ".flowcap.202611211230.99999999999.part",
            ".flowcap.2026112112.0000.part",
            "flowcap.202611211230.0000.part",
            "flowcap.202611211230.parquet",
        ] {
            assert_eq!(parse_part_name(name), None, "{name}");
        }
    }

    /// nfcapd's directories of these times, with `TZ=UTC`.
    #[test]
    fn hierarchies_are_nfdumps() {
        // 2026-11-21 is a Saturday; 2027-01-01 a Friday before its year's first Monday.
        const NEW_YEAR: i64 = 1_798_761_600;
        for (n, at_noon, at_new_year) in [
            (0, "", ""),
            (1, "2026/11/21", "2027/01/01"),
            (2, "2026/11/21/12", "2027/01/01/00"),
            (3, "2026/46/6", "2027/00/5"),
            (4, "2026/46/6/12", "2027/00/5/00"),
            (5, "2026/325", "2027/001"),
            (6, "2026/325/12", "2027/001/00"),
            (7, "2026-11-21", "2027-01-01"),
            (8, "2026-11-21/12", "2027-01-01/00"),
        ] {
            for (secs, expected) in [(NOON, at_noon), (NEW_YEAR, at_new_year)] {
                let slot = Slot::around(Timestamp::from_secs(secs), 300);
                let directory = slot.directory(Hierarchy::Nfdump(n));
                assert_eq!(directory, expected, "-S {n}");
                for name in [slot.file_name(3), slot.part_name(7), slot.options_name(0)] {
                    let file = Path::new("/var/flows").join(&directory).join(name);
                    assert_eq!(file.ancestors().nth(1 + levels(&file)), Some(Path::new("/var/flows")));
                }
            }
        }
        for (file, expected) in [
            ("date=2026-11-21/hour=12/flowcap.202611211230.parquet", 2),
            ("2026/11/21/12/flowcap.202611211330.parquet", 0), // another hour
            ("2026/11/21/12/a.parquet", 0),
            ("11/21/flowcap.202611211230.parquet", 0), // no year
            ("flowcap.202611211230.parquet", 0),
        ] {
            assert_eq!(levels(Path::new(file)), expected, "{file}");
        }
    }
}
