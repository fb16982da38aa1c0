//! Every key of a configuration file, once: what takes it from a file, and what
//! shows it again.

mod top;

use std::path::Path;

use flow_common::limits::{self, Bound};

use self::top::TOP;
use super::file::{File, Found, Item};
use super::{Config, quantity, tables};
use crate::cli;
use crate::retention::Rules;

/// A key.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// An example of its value.
    pub(crate) example: &'static str,
    /// Takes it from a file.
    pub(super) set: fn(&mut File, &Item<'_>) -> Found<()>,
    /// Shows what holds.
    pub(crate) show: fn(&Config) -> Shown,
    /// What it means, where neither a flag nor a bound says so.
    doc: &'static str,
    /// The bound it sets.
    pub(crate) bound: &'static str,
    /// Whether a running collector takes it.
    pub(crate) is_live: bool,
}

/// A value as TOML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Unset,
    Value(String),
    /// `[[key]]` tables, each a list of keys and values.
    Tables(Vec<Vec<(&'static str, String)>>),
}

/// The tables of a file, by name, each with its keys; the first is the top.
pub(crate) const TABLES: [(&str, &[Key]); 4] =
    [("", TOP), ("limits", LIMITS), ("retention", RETENTION), ("compaction", COMPACTION)];

impl Key {
    const fn new(
        name: &'static str,
        example: &'static str,
        set: fn(&mut File, &Item<'_>) -> Found<()>,
        show: fn(&Config) -> Shown,
    ) -> Self {
        Self { name, example, set, show, doc: "", bound: "", is_live: false }
    }

    const fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    const fn bound(self, bound: &'static str) -> Self {
        Self { bound, ..self }
    }

    const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    /// What it means.
    pub(crate) fn meaning(&self) -> String {
        let of_flag = || cli::flag(self.name).map(|flag| flag.help);
        let of_bound = || self.bound_of().map(Bound::text);
        let doc = (!self.doc.is_empty()).then(|| self.doc.to_owned());
        doc.or_else(of_flag).or_else(of_bound).unwrap_or_default()
    }

    fn bound_of(&self) -> Option<&'static Bound> {
        limits::bounds().find(|bound| bound.name == self.bound)
    }
}

/// A key of `[limits]` that sets the field of the same name.
macro_rules! limit {
    ($name:literal, $example:literal, $bound:literal, $field:ident, $min:literal, $max:expr) => {
        Key::new(
            $name,
            $example,
            |file, item| {
                file.bounds.$field = item.amount($min, $max)? as _;
                Ok(())
            },
            |config| Shown::Value(config.bounds.$field.to_string()),
        )
        .bound($bound)
    };
}

/// Most octets of a bound: what a process can address is no concern of ours.
const BYTES: i64 = 1 << 46;
/// Most seconds of a bound.
const SECS: i64 = u32::MAX as i64;
/// Most things of a kind.
const COUNT: i64 = 1 << 30;

/// `[limits]`.
const LIMITS: &[Key] = &[
    limit!("templates", "65536", "TEMPLATES_MAX", templates, 16, COUNT).live(),
    limit!("templates-bytes", "268435456", "TEMPLATES_BYTES_MAX", templates_bytes, 65_536, BYTES).live(),
    limit!("waiting-bytes", "16777216", "WAITING_BYTES_MAX", waiting_bytes, 0, BYTES).live(),
    limit!("waiting-secs", "1300", "WAITING_SECS_MAX", waiting_secs, 0, SECS).live(),
    limit!("domains", "65536", "DOMAINS_MAX", domains, 1, COUNT).live(),
    limit!("facts-bytes", "134217728", "FACTS_BYTES_MAX", facts_bytes, 0, BYTES).live(),
    limit!("facts-per-exporter", "16384", "FACTS_PER_EXPORTER_MAX", facts_per_exporter, 0, COUNT).live(),
    limit!("queue-bytes", "67108864", "QUEUE_BYTES_MAX", queue_bytes, 4_194_304, BYTES),
    limit!("journal-bytes", "1073741824", "JOURNAL_BYTES_MAX", journal_bytes, 134_217_728, BYTES),
    limit!("handshake-secs", "10", "HANDSHAKE_SECS_MAX", handshake_secs, 1, SECS),
    limit!("message-secs", "30", "MESSAGE_SECS_MAX", message_secs, 1, SECS),
    limit!("connection-idle-secs", "3600", "CONNECTION_IDLE_SECS_MAX", connection_idle_secs, 1, SECS),
    limit!("silent-listener-secs", "30", "SILENT_LISTENER_SECS", silent_listener_secs, 1, SECS),
];

/// `[retention]`.
const RETENTION: &[Key] = &[
    Key::new(
        "max-age",
        r#""30d""#,
        |file, item| {
            file.retention.rules.max_age_secs = tables::max_age(item)?;
            Ok(())
        },
        |config| show_age(&config.retention.rules),
    )
    .live(),
    Key::new(
        "max-size",
        r#""500GB""#,
        |file, item| {
            file.retention.rules.max_bytes = tables::max_size(item)?;
            Ok(())
        },
        |config| show_size(&config.retention.rules),
    )
    .live(),
    Key::new(
        "min-free",
        r#""10%""#,
        |file, item| {
            file.retention.rules.min_free = tables::min_free(item)?;
            Ok(())
        },
        |config| show_free(&config.retention.rules),
    )
    .live(),
    Key::new(
        "tree",
        r#"[{ path = "/var/flows/edge1", max-age = "90d" }]"#,
        |file, item| {
            file.retention.trees = tables::trees(item)?;
            Ok(())
        },
        |config| Shown::Tables(config.retention.trees.iter().map(tables::show_tree).collect()),
    )
    .doc("A tree for which something else holds; what it leaves out is as above, \"none\" lifts a rule")
    .live(),
];

/// `[compaction]`.
const COMPACTION: &[Key] = &[
    Key::new(
        "enabled",
        "true",
        |file, item| {
            file.compaction.is_enabled = item.truth()?;
            Ok(())
        },
        |config| Shown::Value(config.compaction.is_enabled.to_string()),
    )
    .doc("Whether the collector makes one file of those of each hour, as `flowcapd compact` does")
    .live(),
    Key::new(
        "after",
        r#""1h""#,
        |file, item| {
            file.compaction.after_secs = tables::compaction_age(item)?;
            Ok(())
        },
        |config| Shown::Value(quoted(&quantity::age_text(config.compaction.after_secs))),
    )
    .doc("For how long an hour must have been over; `flowcapd compact` goes by it too")
    .live(),
];

pub(super) fn show_age(rules: &Rules) -> Shown {
    text_or_unset(rules.max_age_secs.map(quantity::age_text))
}

pub(super) fn show_size(rules: &Rules) -> Shown {
    text_or_unset(rules.max_bytes.map(quantity::size_text))
}

pub(super) fn show_free(rules: &Rules) -> Shown {
    text_or_unset(rules.min_free.map(quantity::free_text))
}

fn text_or_unset(text: Option<String>) -> Shown {
    text.map_or(Shown::Unset, |text| Shown::Value(quoted(&text)))
}

fn number_or_unset(number: Option<impl ToString>) -> Shown {
    number.map_or(Shown::Unset, |number| Shown::Value(number.to_string()))
}

fn path(path: &Path) -> Shown {
    Shown::Value(quoted(&path.to_string_lossy()))
}

fn list(values: impl Iterator<Item = String>) -> Shown {
    Shown::Value(format!("[{}]", values.collect::<Vec<_>>().join(", ")))
}

fn list_or_unset(values: impl Iterator<Item = String>) -> Shown {
    let mut values = values.peekable();
    if values.peek().is_none() { Shown::Unset } else { list(values) }
}

/// Text as a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", c as u32),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_bounds_are_called_like_them_and_have_their_values() {
        let config = Config::default();
        for (table, key) in TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (*table, key)))
        {
            if key.bound.is_empty() {
                continue;
            }
            let bound = key.bound_of().unwrap_or_else(|| panic!("no bound {}", key.bound));
            if table == "limits" {
                let name = bound.name.trim_end_matches("_MAX").to_lowercase().replace('_', "-");
                assert_eq!(key.name, name);
            }
            let shown = (key.show)(&config);
            let value = Shown::Value(bound.value.to_string());
            assert!(shown == value || shown == Shown::Unset, "{}: {shown:?}, {value:?}", key.name);
        }
    }
}
