//! The configuration file: TOML whose keys are the long flags, `[[source]]` and `[[element]]`.
//!
//! [`KEYS`] is the one list of keys. What is wrong is said with its line, and
//! with what was meant.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use flow_common::column::{ExtraColumn, ExtraError, check_free};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::limits;
use flow_common::usage::{excerpt, lower_first, nearest, neutral};
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::{
    UsageError, check_commands, check_hierarchy, check_slot, command, prefix, repeat, sampling_policy,
    sockets, sources,
};
use crate::cli::Args;
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
}

/// What is wrong, and where: octets of the text.
#[derive(Debug)]
struct Fault {
    span: Range<usize>,
    message: String,
    hint: String,
}

type Found<T> = Result<T, Fault>;

/// Takes one value of the file.
type Set = fn(&mut File, &Item<'_>) -> Found<()>;

/// Every key at the top of a file, by its flag: an example of its value, and what
/// takes it.
const KEYS: [(&str, &str, Set); 32] = [
    ("port", "[2055, 4739]", |file, item| {
        file.args.ports = item.list(|item| item.number(0, u16::MAX.into()).map(|port| port as u16))?;
        Ok(())
    }),
    ("bind", r#""192.0.2.1""#, |file, item| {
        file.args.bind = item.list(|item| item.address())?;
        Ok(())
    }),
    ("join", r#"["239.0.0.9%eth0"]"#, |file, item| {
        file.args.groups = item.list(|item| {
            let text = item.text()?;
            sockets::group(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
            Ok(text.to_owned())
        })?;
        Ok(())
    }),
    ("buffer", "16777216", |file, item| {
        file.args.buffer_bytes = Some(item.checked(sockets::check_buffer)?);
        Ok(())
    }),
    ("repeat", r#"["192.0.2.2/9995"]"#, |file, item| {
        file.args.repeat = item.list(|item| {
            let text = item.text()?;
            repeat::destination(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
            Ok(text.to_owned())
        })?;
        Ok(())
    }),
    ("exec", r#""gzip -k %d/%f""#, |file, item| {
        let text = item.text()?;
        command(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
        file.args.exec = Some(text.to_owned());
        Ok(())
    }),
    ("max-commands", "1", |file, item| {
        file.args.commands_max = Some(item.checked(check_commands)?);
        Ok(())
    }),
    ("user", r#""flowcap""#, |file, item| {
        file.args.user = Some(item.text()?.to_owned());
        Ok(())
    }),
    ("group", r#""flowcap""#, |file, item| {
        file.args.group = Some(item.text()?.to_owned());
        Ok(())
    }),
    ("pidfile", r#""/run/flowcapd.pid""#, |file, item| {
        file.args.pid_file = Some(PathBuf::from(item.text()?));
        Ok(())
    }),
    ("write-dir", r#""/var/flows""#, |file, item| {
        file.args.directory = Some(PathBuf::from(item.text()?));
        Ok(())
    }),
    ("slot", "300", |file, item| {
        file.args.slot_secs = Some(item.checked(check_slot)?);
        Ok(())
    }),
    ("hierarchy", "2", |file, item| {
        item.checked(check_hierarchy)?;
        file.args.hierarchy = Some(item.number(0, u8::MAX.into())? as u8);
        Ok(())
    }),
    ("ident", r#""edge1""#, |file, item| {
        file.args.ident = Some(item.text()?.to_owned());
        Ok(())
    }),
    ("source", r#"[{ ident = "edge1", prefix = "192.0.2.1", directory = "edge1" }]"#, |file, item| {
        file.sources = item.tables(&SOURCE_KEYS)?.iter().map(Table::source).collect::<Found<_>>()?;
        Ok(())
    }),
    ("sources-dir", r#""/var/flows""#, |file, item| {
        file.args.sources_dir = Some(PathBuf::from(item.text()?));
        Ok(())
    }),
    ("sampling", "1000", |file, item| {
        item.checked(|rate| sampling_policy(Some(rate)))?;
        file.args.sampling_rate = Some(item.integer()?);
        Ok(())
    }),
    ("allow", r#"["192.0.2.0/24"]"#, |file, item| {
        file.args.allow = item.list(|item| {
            let text = item.text()?;
            prefix(text).map(|_| text.to_owned()).map_err(|error| item.fault(error.to_string(), error.hint))
        })?;
        Ok(())
    }),
    ("template-lifetime", "1800", |file, item| {
        file.args.template_lifetime_secs = Some(item.number(0, u32::MAX.into())? as u32);
        Ok(())
    }),
    ("session-idle", "604800", |file, item| {
        file.args.session_idle_secs = Some(item.number(0, u32::MAX.into())? as u32);
        Ok(())
    }),
    ("tcp", "4739", |file, item| {
        file.args.tcp = item.list(|item| item.endpoint())?;
        Ok(())
    }),
    ("tls", "4740", |file, item| {
        file.args.tls = item.list(|item| item.endpoint())?;
        Ok(())
    }),
    ("tls-cert", r#""us.pem""#, |file, item| {
        file.args.tls_cert = Some(PathBuf::from(item.text()?));
        Ok(())
    }),
    ("tls-key", r#""us.key""#, |file, item| {
        file.args.tls_key = Some(PathBuf::from(item.text()?));
        Ok(())
    }),
    ("tls-ca", r#""exporters.pem""#, |file, item| {
        file.args.tls_ca = Some(PathBuf::from(item.text()?));
        Ok(())
    }),
    ("tls-peer", r#"["r1.example", "192.0.2.1"]"#, |file, item| {
        file.args.tls_peers = item.list(|item| item.text().map(ToOwned::to_owned))?;
        Ok(())
    }),
    ("tls-no-client-auth", "false", |file, item| {
        file.args.tls_no_client_auth = item.truth()?;
        Ok(())
    }),
    ("max-connections", "2048", |file, item| {
        file.args.connections_max = Some(item.number(1, u32::MAX.into())? as usize);
        Ok(())
    }),
    ("max-connections-per-address", "64", |file, item| {
        file.args.connections_per_address_max = Some(item.number(1, u32::MAX.into())? as usize);
        Ok(())
    }),
    ("max-handshakes", "64", |file, item| {
        file.args.handshakes_max = Some(item.number(1, u32::MAX.into())? as usize);
        Ok(())
    }),
    ("verbose", "1", |file, item| {
        file.args.verbosity = item.number(0, 2)? as u8;
        Ok(())
    }),
    ("element", r#"[{ id = 82, name = "interface_name" }]"#, |file, item| {
        file.elements = elements(item)?;
        Ok(())
    }),
];

/// Reads `text`; `name` is what messages call the file.
pub(crate) fn parse(name: &str, text: &str) -> Result<File, UsageError> {
    read(text).map_err(|Fault { span, message, hint }| {
        let line = text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
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
        let Some((name, example, set)) = KEYS.iter().find(|(name, ..)| *name == key.get_ref()) else {
            return Err(unknown_key(key, KEYS.iter().map(|(name, ..)| *name)));
        };
        set(&mut file, &Item { name, example, value })?;
    }
    Ok(file)
}

/// The entries of a table as they stand in the text, so that the first fault is
/// the one that is said.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn unknown_key<'a>(key: &Spanned<DeString<'_>>, known: impl Iterator<Item = &'a str> + Clone) -> Fault {
    let name = key.get_ref();
    // Keys are flags, and flags have no `_`.
    let hint = match nearest(&name.to_lowercase().replace('_', "-"), known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("one of {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    Fault { span: key.span(), message: format!("unknown key `{name}`"), hint }
}

/// A value and the key it belongs to.
struct Item<'a> {
    name: &'a str,
    example: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

impl Item<'_> {
    fn fault(&self, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { span: self.value.span(), message: message.into(), hint: hint.into() }
    }

    fn wrong_type(&self, wanted: &str) -> Fault {
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

    fn text(&self) -> Found<&str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type("text")),
        }
    }

    fn integer(&self) -> Found<i64> {
        match self.value.get_ref() {
            DeValue::Integer(digits) => integer(digits).ok_or_else(|| {
                self.fault(format!("`{}` is out of range", digits.as_str()), "a number of 64 bits")
            }),
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    fn truth(&self) -> Found<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A port, or an address with one, as its flag takes it.
    fn endpoint(&self) -> Found<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Ok(self.number(0, u16::MAX.into())?.to_string()),
        }
    }

    fn number(&self, min: i64, max: i64) -> Found<i64> {
        let value = self.integer()?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(self.fault(format!("`{value}` is out of range"), format!("`{}` takes {min} to {max}", self.name)))
    }

    fn address(&self) -> Found<IpAddr> {
        let text = self.text()?;
        text.parse().map_err(|_| {
            let hint = format!("for example `{} = {}`; names are not looked up", self.name, self.example);
            self.fault(format!("`{text}` is not an address"), hint)
        })
    }

    /// A number as its flag checks it.
    fn checked<T>(&self, check: impl Fn(i64) -> Result<T, UsageError>) -> Found<T> {
        check(self.integer()?).map_err(|error| self.fault(error.to_string(), error.hint))
    }

    /// One value or a list of them.
    fn list<T>(&self, read: impl Fn(&Item<'_>) -> Found<T>) -> Found<Vec<T>> {
        match self.value.get_ref() {
            DeValue::Array(items) => items.iter().map(|value| read(&Item { value, ..*self })).collect(),
            _ => read(self).map(|one| vec![one]),
        }
    }

    /// `[[name]]` with these keys, any number of times.
    fn tables(&self, keys: &'static Keys) -> Found<Vec<Table<'_>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            let name = self.name;
            let hint = format!("write `[[{name}]]`, once for each");
            return Err(self.fault(format!("`{name}` is a list of tables"), hint));
        };
        let table = |value| Item { value, ..*self }.table(keys);
        items.iter().map(table).collect()
    }
}

/// Digits as TOML's grammar leaves them.
fn integer(digits: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

/// The columns of `[[element]]` tables.
fn elements(item: &Item<'_>) -> Found<Vec<ExtraColumn>> {
    let tables = item.tables(&ELEMENT_KEYS)?;
    if let Some(beyond) = tables.get(limits::EXTRA_COLUMNS_MAX) {
        let message = format!("more than {} elements", limits::EXTRA_COLUMNS_MAX);
        return Err(beyond.fault(message, "elements without a column are kept in `other`"));
    }
    let mut columns: Vec<ExtraColumn> = Vec::new();
    for table in tables {
        let column = table.column()?;
        let at = |key: &str| table.get(key).map_or(table.span.clone(), |item| item.value.span());
        if let Some(known) = columns.iter().find(|known| known.name == column.name) {
            let message = format!("`{}` is the name of element {} already", known.name, known.key);
            return Err(Fault {
                span: at("name"),
                message,
                hint: "every column has a name of its own".into(),
            });
        }
        if let Some(known) = columns.iter().find(|known| known.key == column.key) {
            let message = format!("element {} is called `{}` already", known.key, known.name);
            return Err(Fault { span: at("id"), message, hint: "an element fills one column".into() });
        }
        if let Some(known) = columns.iter().find(|known| known.field_id() == column.field_id()) {
            let message = format!("elements {} and {} have the same field id", known.key, column.key);
            return Err(Fault { span: at("id"), message, hint: "only one of them can have a column".into() });
        }
        columns.push(column);
    }
    Ok(columns)
}

impl<'a> Item<'a> {
    /// One of `[[name]]`, its keys checked.
    fn table(&self, keys: &'static Keys) -> Found<Table<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.wrong_type("tables"));
        };
        let mut items = Vec::new();
        for (key, value) in in_order(table) {
            let Some(&(name, example)) = keys.iter().find(|(name, _)| *name == key.get_ref()) else {
                return Err(unknown_key(key, keys.iter().map(|&(name, _)| name)));
            };
            items.push(Item { name, example, value });
        }
        Ok(Table { name: self.name, keys, span: self.value.span(), items })
    }
}

/// Keys of a table in the file, with examples.
type Keys = [(&'static str, &'static str)];

const ELEMENT_KEYS: [(&str, &str); 4] =
    [("pen", "35632"), ("id", "180"), ("name", r#""http_url""#), ("type", r#""string""#)];

const SOURCE_KEYS: [(&str, &str); 3] =
    [("ident", r#""edge1""#), ("prefix", r#""192.0.2.0/24""#), ("directory", r#""/var/flows/edge1""#)];

/// One `[[element]]` or `[[source]]`.
struct Table<'a> {
    name: &'a str,
    keys: &'static Keys,
    span: Range<usize>,
    items: Vec<Item<'a>>,
}

impl<'a> Table<'a> {
    fn fault(&self, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { span: self.span.clone(), message: message.into(), hint: hint.into() }
    }

    fn get(&self, key: &str) -> Option<&Item<'a>> {
        self.items.iter().find(|item| item.name == key)
    }

    fn needed(&self, key: &str) -> Found<&Item<'a>> {
        self.get(key).ok_or_else(|| {
            let example = self.keys.iter().find(|(name, _)| *name == key).map_or("", |(_, example)| example);
            self.fault(
                format!("the {} has no `{key}`", self.name),
                format!("for example `{key} = {example}`"),
            )
        })
    }

    fn source(&self) -> Found<NamedSource> {
        let prefixes = self.needed("prefix")?.list(|item| {
            let text = item.text()?;
            sources::source_prefix(text).map_err(|error| item.fault(error.to_string(), error.hint))
        })?;
        let (ident, directory) = (self.needed("ident")?.text()?, self.needed("directory")?.text()?);
        sources::named(ident, prefixes, directory).map_err(|error| self.fault(error.to_string(), error.hint))
    }

    fn column(&self) -> Found<ExtraColumn> {
        let pen = match self.get("pen") {
            Some(item) => item.number(0, u32::MAX.into())? as u32,
            None => 0,
        };
        let id = self.needed("id")?.number(0, u16::MAX.into())? as u16;
        let key = ElementKey { pen, id };
        let name = self.needed("name")?;
        let data_type = self.data_type(key)?;
        let column = ExtraColumn::new(name.text()?, key, data_type);
        let column = column.and_then(|column| check_free(&column).map(|()| column));
        column.map_err(|error| {
            let (key, hint) = match &error {
                ExtraError::Spelling(_) => ("name", name_hint()),
                ExtraError::Taken { name, .. } => ("name", format!("choose another, such as `my_{name}`")),
                ExtraError::Zero => ("id", "an element of IANA or of NetFlow v9 is 1 to 65535".to_owned()),
                ExtraError::Id(_) => {
                    ("id", "numbers beyond are those of NetFlow v9 and have no `pen`".to_owned())
                }
                ExtraError::Filled { column, .. } => {
                    ("id", format!("ask for `{column}`; the element needs no entry"))
                }
                ExtraError::Type(_) => ("type", type_hint()),
            };
            let span = self.get(key).map_or(self.span.clone(), |item| item.value.span());
            Fault { span, message: error.to_string(), hint }
        })
    }

    /// The type said, or the registry's.
    fn data_type(&self, key: ElementKey) -> Found<AbstractDataType> {
        let Some(item) = self.get("type") else {
            let missing = || {
                self.fault(
                    format!("element {key} needs a `type`: the registry does not know it"),
                    type_hint(),
                )
            };
            return key.lookup().map(|known| known.data_type).ok_or_else(missing);
        };
        let text = item.text()?;
        AbstractDataType::from_name(text).ok_or_else(|| {
            let hint = match nearest(&text.to_lowercase(), ExtraColumn::type_names()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => type_hint(),
            };
            item.fault(format!("unknown type `{text}`"), hint)
        })
    }
}

fn name_hint() -> String {
    let max = limits::COLUMN_NAME_BYTES_MAX;
    format!("lower-case letters, digits and `_`, a letter first, at most {max}: `my_rtt`")
}

fn type_hint() -> String {
    format!("one of {}", ExtraColumn::type_names().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_a_flag_or_a_list_of_tables() {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("flowcapd"));
        for (key, ..) in KEYS.iter().filter(|(key, ..)| *key != "element") {
            assert!(command.get_arguments().any(|flag| flag.get_long() == Some(key)), "no flag --{key}");
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
        const TEXTS: [&str; 35] = [
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
