//! Lists of tables in a configuration file: `[[source]]`, `[[element]]` and
//! `[[retention.tree]]`.

use std::ops::Range;
use std::path::PathBuf;

use flow_common::column::{ExtraColumn, ExtraError, check_free};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::limits;
use flow_common::usage::nearest;
use toml::de::DeValue;

use super::file::{Fault, Found, Item, in_order, unknown_key};
use super::keys::{Shown, quoted, show_age, show_free, show_size};
use super::{UsageError, quantity, sources};
use crate::retention::{Free, Rules, TreeRules};
use crate::trees::{NamedSource, place};

/// The columns of `[[element]]` tables.
pub(super) fn elements(item: &Item<'_>) -> Found<Vec<ExtraColumn>> {
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

/// Keys of a table in the file, with examples.
type Keys = [(&'static str, &'static str)];

const ELEMENT_KEYS: [(&str, &str); 4] =
    [("pen", "35632"), ("id", "180"), ("name", r#""http_url""#), ("type", r#""string""#)];

const SOURCE_KEYS: [(&str, &str); 3] =
    [("ident", r#""edge1""#), ("prefix", r#""192.0.2.0/24""#), ("directory", r#""/var/flows/edge1""#)];

const TREE_KEYS: [(&str, &str); 4] = [
    ("path", r#""/var/flows/edge1""#),
    ("max-age", r#""30d""#),
    ("max-size", r#""500GB""#),
    ("min-free", r#""10%""#),
];

/// One table of a list.
struct Table<'a> {
    name: &'a str,
    keys: &'static Keys,
    span: Range<usize>,
    items: Vec<Item<'a>>,
}

impl<'a> Item<'a> {
    /// `[[name]]` with these keys, any number of times.
    fn tables(&self, keys: &'static Keys) -> Found<Vec<Table<'_>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            let name = self.full_name();
            let hint = format!("write `[[{name}]]`, once for each");
            return Err(self.fault(format!("`{name}` is a list of tables"), hint));
        };
        let table = |value| Item { value, ..*self }.table(keys);
        items.iter().map(table).collect()
    }

    /// A rule of retention, or none.
    fn rule<T>(&self, check: impl Fn(&str) -> Result<T, UsageError>) -> Found<Option<T>> {
        quantity::rule(self.text()?, check).map_err(|error| self.fault(error.to_string(), error.hint))
    }

    /// One of `[[name]]`, its keys checked.
    fn table(&self, keys: &'static Keys) -> Found<Table<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.wrong_type("tables"));
        };
        let mut items = Vec::new();
        for (key, value) in in_order(table) {
            let Some(&(name, example)) = keys.iter().find(|(name, _)| *name == key.get_ref()) else {
                return Err(unknown_key(key, self.name, keys.iter().map(|&(name, _)| name)));
            };
            items.push(Item { table: "", name, example, value });
        }
        Ok(Table { name: self.name, keys, span: self.value.span(), items })
    }
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

/// Exporters of `[[source]]` tables.
pub(super) fn sources(item: &Item<'_>) -> Found<Vec<NamedSource>> {
    item.tables(&SOURCE_KEYS)?.iter().map(Table::source).collect()
}

pub(super) fn show_source(source: &NamedSource) -> Vec<(&'static str, String)> {
    let prefixes: Vec<_> = source.prefixes.iter().map(|prefix| quoted(&prefix.to_string())).collect();
    vec![
        ("ident", quoted(&source.tree.ident)),
        ("prefix", format!("[{}]", prefixes.join(", "))),
        ("directory", quoted(&source.tree.root.to_string_lossy())),
    ]
}

pub(super) fn show_element(column: &ExtraColumn) -> Vec<(&'static str, String)> {
    vec![
        ("pen", column.key.pen.to_string()),
        ("id", column.key.id.to_string()),
        ("name", quoted(&column.name)),
        ("type", quoted(column.data_type().name())),
    ]
}

/// What a `[[retention.tree]]` says; what it does not say is as in `[retention]`.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeSays {
    path: PathBuf,
    max_age_secs: Option<Option<u64>>,
    max_bytes: Option<Option<u64>>,
    min_free: Option<Option<Free>>,
}

impl TreeSays {
    pub(super) fn over(self, rules: &Rules) -> TreeRules {
        let rules = Rules {
            max_age_secs: self.max_age_secs.unwrap_or(rules.max_age_secs),
            max_bytes: self.max_bytes.unwrap_or(rules.max_bytes),
            min_free: self.min_free.unwrap_or(rules.min_free),
        };
        TreeRules { path: self.path, rules }
    }
}

/// Trees of `[[retention.tree]]` tables.
pub(super) fn trees(item: &Item<'_>) -> Found<Vec<TreeSays>> {
    let tree = |table: &Table<'_>| {
        Ok(TreeSays {
            path: PathBuf::from(table.needed("path")?.text()?),
            max_age_secs: table.get("max-age").map(max_age).transpose()?,
            max_bytes: table.get("max-size").map(max_size).transpose()?,
            min_free: table.get("min-free").map(min_free).transpose()?,
        })
    };
    let tables = item.tables(&TREE_KEYS)?;
    let mut trees: Vec<TreeSays> = Vec::new();
    for table in &tables {
        let tree = tree(table)?;
        if trees.iter().any(|known| place(&known.path) == place(&tree.path)) {
            let message = format!("`{}` has rules already", tree.path.display());
            return Err(table.fault(message, "one `[[retention.tree]]` has all rules of a tree"));
        }
        trees.push(tree);
    }
    Ok(trees)
}

pub(super) fn show_tree(tree: &TreeRules) -> Vec<(&'static str, String)> {
    let shown = |shown| match shown {
        Shown::Value(value) => value,
        _ => quoted(quantity::NONE),
    };
    vec![
        ("path", quoted(&tree.path.to_string_lossy())),
        ("max-age", shown(show_age(&tree.rules))),
        ("max-size", shown(show_size(&tree.rules))),
        ("min-free", shown(show_free(&tree.rules))),
    ]
}

pub(super) fn max_age(item: &Item<'_>) -> Found<Option<u64>> {
    item.rule(quantity::max_age)
}

pub(super) fn max_size(item: &Item<'_>) -> Found<Option<u64>> {
    item.rule(quantity::max_size)
}

pub(super) fn min_free(item: &Item<'_>) -> Found<Option<Free>> {
    item.rule(quantity::min_free)
}

pub(super) fn compaction_age(item: &Item<'_>) -> Found<u64> {
    quantity::compaction_age(item.text()?).map_err(|error| item.fault(error.to_string(), error.hint))
}
