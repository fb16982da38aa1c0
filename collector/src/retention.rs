//! Retention: which files go, and when.

use std::path::PathBuf;

/// How much disk is to stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Free {
    /// So many octets.
    Bytes(u64),
    /// So much of the whole, percent.
    Percent(u8),
}

/// What may stay; what is not said is not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Age of a file by its name, seconds.
    pub max_age_secs: Option<u64>,
    /// Disk space of a tree, octets.
    pub max_bytes: Option<u64>,
    /// Disk space left free.
    pub min_free: Option<Free>,
}

impl Rules {
    /// Whether anything ever goes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A tree with rules of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeRules {
    /// Its root.
    pub path: PathBuf,
    /// What holds there.
    pub rules: Rules,
}

/// What the configuration says of retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// What holds for every tree.
    pub rules: Rules,
    /// Trees for which something else holds.
    pub trees: Vec<TreeRules>,
}
