//! Bounds of compaction: when hours become few files, and how large these are.

use super::{Bound, ROW_GROUP_ROWS};

bounds! {
/// Hours are compacted once they have been over for so long, seconds: what was received in
/// them is visible, and what a restart decodes again of them, too.
pub const COMPACTION_AFTER_SECS_DEFAULT: u64 = 3_600;

/// The least that may be asked for, seconds: the last slot of the hour is being published.
pub const COMPACTION_AFTER_SECS_MIN: u64 = 300;

/// How often hours are looked for that may be compacted, seconds.
pub const COMPACTION_INTERVAL_SECS: u64 = 300;

/// Rows of a file that compaction makes; 128 row groups, some 800 MB. A larger footer
/// takes longer to read than it saves.
pub const COMPACTED_ROWS_MAX: u64 = 128 * ROW_GROUP_ROWS as u64;

/// Files that one of the whole hour has taken the place of stay readable for so long,
/// seconds: a query that has listed them opens the last of them within that time.
pub const COMPACTION_KEPT_SECS: u64 = 30;
}
