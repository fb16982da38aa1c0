//! How files are compressed, as an operator says it.

use std::fmt;

use super::UsageError;

/// Highest level zstd knows.
const ZSTD_LEVEL_MAX: u8 = 22;

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4, raw blocks: least work.
    Lz4,
    /// Zstandard at this level.
    Zstd(u8),
}

impl Default for Compression {
    /// Level 3 makes files no smaller, 1 takes least time (measured).
    fn default() -> Self {
        Self::Zstd(1)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

impl Compression {
    /// `zstd`, `zstd:LEVEL`, `lz4` or `none`.
    pub(crate) fn parse(text: &str) -> Result<Self, UsageError> {
        let level = |level: &str| level.parse().ok().filter(|level| (1..=ZSTD_LEVEL_MAX).contains(level));
        let parsed = match text.split_once(':') {
            Some(("zstd", number)) => level(number).map(Self::Zstd),
            Some(_) => None,
            None => match text {
                "zstd" => Some(Self::default()),
                "lz4" => Some(Self::Lz4),
                "none" => Some(Self::None),
                _ => None,
            },
        };
        parsed.ok_or_else(|| UsageError {
            message: format!("`{text}` is no compression"),
            hint: format!("there are `zstd`, `zstd:1` to `zstd:{ZSTD_LEVEL_MAX}`, `lz4` and `none`"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_read_or_refused() {
        let check = |text: &str, expected: Option<Compression>| {
            assert_eq!(Compression::parse(text).ok(), expected, "{text}");
            assert_eq!(expected.and_then(|one| Compression::parse(&one.to_string()).ok()), expected);
        };
        check("zstd", Some(Compression::Zstd(1)));
        check("zstd:22", Some(Compression::Zstd(22)));
        check("lz4", Some(Compression::Lz4));
        check("none", Some(Compression::None));
        for wrong in ["", "gzip", "zstd:0", "zstd:23", "zstd:", "lz4:1", "LZ4", "zstd:1:2"] {
            check(wrong, None);
        }
    }
}
