//! The configuration file: TOML whose keys are the long flags, and tables beside them.
//!
//! [`TABLES`] lists the keys. What is wrong is said with its line, and with what was
//! meant.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use flow_common::column::ExtraColumn;
use flow_common::usage::{excerpt, lower_first, nearest, neutral};
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::keys::{Key, TABLES};
use super::tables::TreeSays;
use super::{UsageError, quantity};
use crate::bounds::Bounds;
use crate::cli::Args;
use crate::compact::Compaction;
use crate::retention::Rules;
use crate::trees::NamedSource;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// The settings, as if typed.
    pub(super) args: Args,
    /// Columns beyond the table.
    pub(super) elements: Vec<ExtraColumn>,
    /// Exporters with a tree of their own.
    pub(super) sources: Vec<NamedSource>,
    /// How much is held.
    pub(super) bounds: Bounds,
    /// Which files may stay.
    pub(super) retention: RetentionSays,
    /// Whether and when hours are compacted.
    pub(super) compaction: Compaction,
    /// Line of each key, by its table and its name: several for a list of tables.
    pub(super) lines: BTreeMap<(&'static str, &'static str), Vec<usize>>,
}

/// `[retention]`.
#[derive(Debug, Default)]
pub(super) struct RetentionSays {
    pub(super) rules: Rules,
    pub(super) trees: Vec<TreeSays>,
}

/// What is wrong, and where: octets of the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

pub(super) type Found<T> = Result<T, Fault>;

/// Reads `text`; `name` is what messages call the file.
pub(crate) fn parse(name: &str, text: &str) -> Result<File, UsageError> {
    read(text).map_err(|Fault { span, message, hint }| {
        let line = line_of(text, span.start);
        let message = format!("`{name}` line {line}: {message}");
        UsageError::new(format!("{}\n{}", neutral(&message), excerpt(text, &span)), neutral(&hint))
    })
}

fn read(text: &str) -> Found<File> {
    let document = DeTable::parse(text).map_err(|error| Fault {
        span: error.span().unwrap_or(0..0),
        message: lower_first(error.message()),
        hint: "the file is TOML: `key = value` lines, then tables such as `[[element]]`".to_owned(),
    })?;
    let mut file = File::default();
    for (key, value) in in_order(document.get_ref()) {
        let table = TABLES.iter().find(|(table, _)| !table.is_empty() && *table == key.get_ref());
        let Some((table, keys)) = table else {
            take(&mut file, text, ("", TABLES[0].1), key, value)?;
            continue;
        };
        let DeValue::Table(entries) = value.get_ref() else {
            let message = format!("`{table}` is a table");
            let hint = format!("write `[{table}]`, and its keys below");
            return Err(Fault { span: key.span(), message, hint });
        };
        for (key, value) in in_order(entries) {
            take(&mut file, text, (table, keys), key, value)?;
        }
    }
    Ok(file)
}

/// Takes one key of a table.
fn take(
    file: &mut File,
    text: &str,
    (table, keys): (&'static str, &'static [Key]),
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
) -> Found<()> {
    let Some(known) = keys.iter().find(|known| known.name == key.get_ref()) else {
        return Err(elsewhere(table, key).unwrap_or_else(|| {
            let tables =
                TABLES.iter().map(|(name, _)| *name).filter(|name| table.is_empty() && !name.is_empty());
            unknown_key(key, table, keys.iter().map(|key| key.name).chain(tables))
        }));
    };
    let lines = match value.get_ref() {
        DeValue::Array(items) if matches!(items.first().map(Spanned::get_ref), Some(DeValue::Table(_))) => {
            items.iter().map(|item| line_of(text, item.span().start)).collect()
        }
        _ => vec![line_of(text, key.span().start)],
    };
    file.lines.insert((table, known.name), lines);
    (known.set)(file, &Item { table, name: known.name, example: known.example, value })
}

/// What to say of a key that stands in the wrong table.
fn elsewhere(table: &str, key: &Spanned<DeString<'_>>) -> Option<Fault> {
    let name = key.get_ref();
    let is_there = |(_, keys): &&(&str, &[Key])| keys.iter().any(|known| known.name == name);
    let (meant, _) = TABLES.iter().find(is_there)?;
    let message = match table {
        "" => format!("`{name}` is no key at the top"),
        table => format!("`{name}` is no key of `[{table}]`"),
    };
    let hint = match *meant {
        "" => "keys at the top stand before the first `[table]`".to_owned(),
        meant => format!("it is one of `[{meant}]`"),
    };
    Some(Fault { span: key.span(), message, hint })
}

/// The line of octet `at`, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// The entries of a table as they stand in the text, so that the first fault is
/// the one that is said.
pub(super) fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What to say of a key that is none, in `table` where that is not the top.
pub(super) fn unknown_key<'a>(
    key: &Spanned<DeString<'_>>,
    table: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Fault {
    let name = key.get_ref();
    // Keys are flags, and flags have no `_`.
    let hint = match nearest(&name.to_lowercase().replace('_', "-"), known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("one of {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    let of = if table.is_empty() { String::new() } else { format!(" of `{table}`") };
    Fault { span: key.span(), message: format!("unknown key `{name}`{of}"), hint }
}

/// A value and the key it belongs to.
pub(super) struct Item<'a> {
    /// The table it stands in, where that is not the top.
    pub(super) table: &'a str,
    pub(super) name: &'a str,
    pub(super) example: &'a str,
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl Item<'_> {
    /// Its name with that of its table: `retention.tree`.
    pub(super) fn full_name(&self) -> String {
        if self.table.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.table, self.name) }
    }

    pub(super) fn fault(&self, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { span: self.value.span(), message: message.into(), hint: hint.into() }
    }

    pub(super) fn wrong_type(&self, wanted: &str) -> Fault {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let Self { name, example, .. } = self;
        self.fault(
            format!("`{name}` takes {wanted}, not {found}"),
            format!("for example `{name} = {example}`"),
        )
    }

    pub(super) fn text(&self) -> Found<&str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type("text")),
        }
    }

    pub(super) fn integer(&self) -> Found<i64> {
        match self.value.get_ref() {
            DeValue::Integer(digits) => integer(digits).ok_or_else(|| {
                self.fault(format!("`{}` is out of range", digits.as_str()), "a number of 64 bits")
            }),
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    pub(super) fn truth(&self) -> Found<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A port, or an address with one, as its flag takes it.
    pub(super) fn endpoint(&self) -> Found<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Ok(self.number(0, u16::MAX.into())?.to_string()),
        }
    }

    pub(super) fn number(&self, min: i64, max: i64) -> Found<i64> {
        let value = self.integer()?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(self.out_of_range(value, min, max))
    }

    pub(super) fn out_of_range(&self, value: impl std::fmt::Display, min: i64, max: i64) -> Fault {
        self.fault(format!("`{value}` is out of range"), format!("`{}` takes {min} to {max}", self.name))
    }

    pub(super) fn address(&self) -> Found<IpAddr> {
        let text = self.text()?;
        text.parse().map_err(|_| {
            let hint = format!("for example `{} = {}`; names are not looked up", self.name, self.example);
            self.fault(format!("`{text}` is not an address"), hint)
        })
    }

    /// A number as its flag checks it.
    pub(super) fn checked<T>(&self, check: impl Fn(i64) -> Result<T, UsageError>) -> Found<T> {
        check(self.integer()?).map_err(|error| self.fault(error.to_string(), error.hint))
    }

    /// One value or a list of them.
    pub(super) fn list<T>(&self, read: impl Fn(&Item<'_>) -> Found<T>) -> Found<Vec<T>> {
        match self.value.get_ref() {
            DeValue::Array(items) => items.iter().map(|value| read(&Item { value, ..*self })).collect(),
            _ => read(self).map(|one| vec![one]),
        }
    }

    /// A number, or text with a unit of octets.
    pub(super) fn amount(&self, min: i64, max: i64) -> Found<i64> {
        let DeValue::String(text) = self.value.get_ref() else { return self.number(min, max) };
        let size = quantity::size(text).filter(|_| self.name.ends_with("-bytes"));
        let size = size.and_then(|bytes| i64::try_from(bytes).ok());
        match size {
            Some(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
            Some(_) => Err(self.out_of_range(text, min, max)),
            None if self.name.ends_with("-bytes") => {
                Err(self.fault(format!("`{text}` is no size"), quantity::SIZE_HINT))
            }
            None => Err(self.wrong_type("a whole number")),
        }
    }
}

/// Digits as TOML's grammar leaves them.
fn integer(digits: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

#[cfg(test)]
mod tests {
    use flow_common::limits;

    use super::*;

    #[test]
    fn every_key_is_a_flag_or_a_list_of_tables() {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("flowcapd"));
        for Key { name, .. } in TABLES[0].1.iter().filter(|key| key.name != "element") {
            assert!(command.get_arguments().any(|flag| flag.get_long() == Some(name)), "no flag --{name}");
        }
    }

    #[test]
    fn a_file_says_what_flags_say_and_names_elements() {
        let text = r#"
            port = [2055, 0x1283]   # a number or a list
            bind = "192.0.2.1"
            write-dir = "/var/flows"
            slot = 60
            ident = "edge1"
            sampling = -1000
            allow = ["192.0.2.0/24", "2001:db8::1"]
            template-lifetime = 3600
            session-idle = 7200
            http = 8080
            verbose = 1
            [[element]]
            pen = 35632
            id = 180
            name = "http_url"
            type = "string"
            [[element]]
            id = 82
            name = "interface_name"
        "#;
        let File { args, elements, .. } = parse("f", text).unwrap();
        assert_eq!(args.ports, [2055, 4739]);
        assert_eq!(args.bind, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(args.directory, Some("/var/flows".into()));
        assert_eq!((args.slot_secs, args.ident), (Some(60), Some("edge1".to_owned())));
        assert_eq!((args.sampling_rate, args.verbosity), (Some(-1000), 1));
        assert_eq!(args.allow, ["192.0.2.0/24", "2001:db8::1"]);
        assert_eq!((args.template_lifetime_secs, args.session_idle_secs), (Some(3600), Some(7200)));
        assert_eq!(args.http.as_deref(), Some("8080"));
        let elements: Vec<_> = elements
            .iter()
            .map(|one| format!("{} {} {}", one.key, one.name, one.data_type().name()))
            .collect();
        assert_eq!(elements, ["35632:180 http_url string", "82 interface_name string"]);
        assert!(parse("f", "").unwrap().elements.is_empty());
    }

    /// Every message of the file, after the text it is about.
    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_was_meant() {
        const TEXTS: [&str; 58] = [
            "# mine\nprot = 2055",
            "write_dir = \"x\"",
            "colour = 1",
            "port = \"2055\"",
            "port = [2055, 99999]",
            "bind = \"router1\"",
            "slot = 3601",
            "slot = 1.5",
            "slot = 99999999999999999999",
            "sampling = 0",
            "allow = [\"192.0.2.1/33\"]",
            "verbose = true",
            "ident = 7",
            "ident = \"a\"\nident = \"b\"",
            "slot 300",
            "slot = ",
            "element = 1",
            "element = [1]",
            "[element]\nid = 1",
            "[[elements]]\nid = 1",
            "[[element]]\nname = \"my_rtt\"",
            "[[element]]\npen = 9\nid = 1\nname = \"my_rtt\"",
            "[[element]]\npen = 9\nid = 1\nname = \"my_rtt\"\ntype = \"unsinged32\"",
            "[[element]]\npen = 9\nid = 1\nname = \"my_rtt\"\ntype = \"subTemplateList\"",
            "[[element]]\npen = 9\nid = 1\nname = \"My-RTT\"\ntype = \"string\"",
            "[[element]]\npen = 9\nid = 1\nname = \"src_addr\"\ntype = \"string\"",
            "[[element]]\npen = 9\nid = 1\nname = \"host\"\ntype = \"string\"",
            "[[element]]\npen = 9\nid = 40000\nname = \"x\"\ntype = \"string\"",
            "[[element]]\nid = 8\nname = \"x\"",
            "[[element]]\nid = 82\nname = \"x\"\n[[element]]\nid = 83\nname = \"x\"",
            "[[element]]\nid = 82\nname = \"x\"\n[[element]]\nid = 82\nname = \"y\"",
            "[[source]]\nident = \"a\"\ndirectory = \"d\"",
            "[[source]]\nident = \"a\"\nprefix = [\"::1\", \"r1\"]\ndirectory = \"d\"",
            "[[source]]\nident = \"\"\nprefix = \"::1\"\ndirectory = \"d\"",
            "[[source]]\naddress = \"::1\"",
            "limits = 5",
            "[limit]\ntemplates = 5",
            "[limits]\ntempaltes = 500",
            "[limits]\nslot = 60",
            "templates = 500",
            "[limits]\ntemplates = 5",
            "[limits]\ntemplates = \"5MB\"",
            "[limits]\nwaiting-bytes = \"16MX\"",
            "[limits]\nqueue-bytes = \"1kB\"",
            "[limits]\nhandshake-secs = 0",
            "max-age = \"30d\"",
            "[retention]\nmax-age = 30",
            "[retention]\nmax-age = \"30 dogs\"",
            "[retention]\nmax-age = \"5m\"",
            "[retention]\nmax-size = \"500G\"",
            "[retention]\nmin-free = \"95%\"",
            "[retention]\nmin_free = \"10%\"",
            "[[retention]]\nmax-age = \"30d\"",
            "[compaction]\nafter = \"1m\"",
            "[compaction]\nenabled = 1",
            "[retention]\ntree = \"/a\"",
            "[[retention.tree]]\nmax-age = \"30d\"",
            "[[retention.tree]]\npath = \"a\"\n[[retention.tree]]\npath = \"./a/\"",
        ];
        let said = TEXTS.map(|text| {
            let error = parse("flowcap.toml", text).unwrap_err();
            format!("error: {error}\nhint: {}\n", error.hint)
        });
        insta::assert_snapshot!("messages", said.join("\n"));
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let many = "[[element]]\nid = 82\nname = \"x\"\n".repeat(limits::EXTRA_COLUMNS_MAX + 1);
        assert!(parse("f", &many).unwrap_err().to_string().contains("line 385: more than 128 elements"));
        let nested = format!("port = {}", "[".repeat(100_000));
        assert!(parse("f", &nested).is_err());
        let escape = parse("f", "\"\\u001b[31m\" = 1").unwrap_err().to_string();
        assert!(!escape.contains('\u{1b}'), "{escape}");
    }
}
