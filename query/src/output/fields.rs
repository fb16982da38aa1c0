//! Keeps `query/FIELDS.md` true: what is written there is what the tables say.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Part, Source, Unit};

use super::format::documented;
use super::nfjson;
use super::tag::{TAGS, Tag};
use super::value::Value;
use crate::computed::{ALIASES, COMPUTED};
use crate::group::Source as Key;
use crate::names::NAME_COLUMNS;

const INTRO: &str = "\
# Columns, tags and formats

Generated from the tables of columns (`common/src/column/table.rs`), of tags (`query/src/output/tag.rs`), of formats
(`query/src/output/format.rs`) and of what is computed (`query/src/computed.rs`);
`UPDATE_GENERATED=1 cargo test -p flow-query fields` writes it anew.
";

/// Words in backticks, a comma between them.
fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> =
        words.into_iter().filter(|word| !word.is_empty()).map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Int32 => "INT32",
        Kind::Int64 => "INT64",
        Kind::Timestamp => "TIMESTAMP, µs UTC",
        Kind::Address => "16 octets",
        Kind::Mac => "6 octets",
        Kind::Text => "text",
        Kind::Binary => "octets",
        Kind::Float64 => "DOUBLE",
        Kind::Boolean => "BOOLEAN",
        Kind::Labels => "list of INT32",
        Kind::Other => "map of INT64 to octets",
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::None => "",
        Unit::Bytes => "octets",
        Unit::Packets => "packets",
        Unit::Flows => "flows",
        Unit::Microseconds => "µs",
        Unit::Hops => "hops",
    }
}

/// `sourceIPv4Address (8)`.
fn source(source: &Source) -> String {
    let number = match source.key.pen {
        0 => source.key.id.to_string(),
        pen => format!("{pen}:{}", source.key.id),
    };
    let element = match source.key.lookup() {
        Some(element) => format!("{} ({number})", element.name),
        None => number,
    };
    match source.part {
        Part::Whole => element,
        Part::HighOctet => format!("{element}, high octet"),
        Part::LowOctet => format!("{element}, low octet"),
        Part::Low24Bits => format!("{element}, low 24 bits"),
        Part::MillisToMicros => format!("{element}, ms"),
        Part::ApplicationId | Part::TunnelKey => format!("{element}, a part"),
    }
}

/// Tags whose value is that of a column, or a way to show it.
fn tags_of(id: ColumnId) -> impl Iterator<Item = &'static Tag> {
    TAGS.iter().filter(move |tag| tag.value.column() == Some(id))
}

fn columns(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Columns\n\nThe name of a column is its key in JSON, NDJSON, CSV and Arrow, a key of `-A`, and a tag. An exporter \
         that sent none of\nthe elements leaves it NULL. Of elements in one cell the first counts.\n\n\
         | column | what it is | type | unit | elements | filter | `-s` | `-A` | `-O`, `/` | tags | `nfjson` |\n\
         |---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for column in COLUMNS {
        let Column { name, doc, filter, stat, stat_both, aggregate, order, .. } = column;
        let sources: Vec<_> = column.sources.iter().map(source).collect();
        let tags: Vec<_> = tags_of(column.id).map(|tag| format!("%{}", tag.word)).collect();
        let need = if column.is_required { ", always there" } else { "" };
        writeln!(
            text,
            "| `{name}` | {} | {}{need} | {} | {} | {} | {} | {} | {} | {} | {} |",
            doc.replace('|', "\\|"),
            kind(column.kind),
            unit(column.unit),
            sources.join("; "),
            words(filter.iter().copied()),
            words([*stat, *stat_both]),
            words([*aggregate]),
            words([*order]),
            words(tags.iter().map(String::as_str)),
            words(nfjson::keys_of(column.id).iter().map(String::as_str)),
        )?;
    }
    writeln!(
        text,
        "\nNames joined from what exporters told of their numbers, in JSON where there is one:\n"
    )?;
    let joined: Vec<_> = NAME_COLUMNS.iter().map(|column| column.name).collect();
    writeln!(text, "{}; and `scaled_by`, what packets and bytes were multiplied by.", words(joined))
}

fn computed(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Computed keys\n\nValues of several columns, or made of some. A flow counts once for each value it has. \
         `-A` takes those with a name for it;\nthe name is their key in CSV, JSON and Arrow, and their tag among \
         groups.\n\n\
         | `-s` | title | `-A` | values | made of |\n|---|---|---|---|---|"
    )?;
    for one in &COMPUTED {
        let made_of: BTreeSet<_> = one.sources.iter().flat_map(|source| source.columns()).collect();
        let made_of: Vec<_> = made_of.into_iter().filter_map(|column| column.table()).collect();
        let values = match one.sources.first() {
            Some(Key::Net { .. }) => "`10.0.0.0/8`",
            Some(Key::Label(_)) => "label, traffic class, bottom: `16-3-1`",
            Some(Key::Country(_)) => "`CH`, by the databases of `-G`",
            Some(Key::Origin { .. }) => {
                "`AS64500 Example`, what the exporter told, else by the databases of `-G`, which name it"
            }
            _ => "as in the columns",
        };
        let names = [one.word, one.name].into_iter().filter(|_| one.sources.len() == 1);
        let (made_of, names) = (words(made_of.iter().map(|column| column.name)), words(names));
        writeln!(text, "| `{}` | {} | {names} | {values} | {made_of} |", one.word, one.title)?;
    }
    let aliases = ALIASES.map(|(alias, id)| format!("`{alias}` is `{}`", id.name()));
    writeln!(text, "\nOther words of `-A`: {}.", aliases.join(", "))
}

fn tags(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Tags\n\nFor `fmt:`, `csv:` and `md:`. The key is the name in the header of `csv:`; without one a tag is no \
         single value. Where an\naddress is shown, `-6` makes it 23 characters wider.\n\n\
         | tag | title | width | key | made of |\n|---|---|--:|---|---|"
    )?;
    for tag in &TAGS {
        let made_of: BTreeSet<_> = tag.value.columns().map(ColumnId::name).collect();
        let made_of = match tag.value {
            Value::Unknown(shown) => format!("nothing that is stored: always `{shown}`"),
            Value::Number => "which row of the answer it is".to_owned(),
            Value::Ident => "the `ident` of the file".to_owned(),
            Value::LineEnd => "a line end".to_owned(),
            _ => words(made_of),
        };
        let (word, title, key) = (tag.word, tag.title.trim(), tag.key());
        writeln!(text, "| `%{word}` | {title} | {} | {} | {made_of} |", tag.width(false), words([key]))?;
    }
    Ok(())
}

fn formats(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Formats\n\nBehind `-o`. A 6 at the end of one that is text shows IPv6 addresses in full.\n\n\
         | format | what it prints |\n|---|---|"
    )?;
    documented().try_for_each(|(word, what)| writeln!(text, "| `{word}` | {what} |"))
}

fn document() -> String {
    let mut text = INTRO.to_owned();
    // Writing to memory does not fail.
    let made = formats(&mut text)
        .and_then(|()| columns(&mut text))
        .and_then(|()| computed(&mut text))
        .and_then(|()| tags(&mut text));
    assert_eq!(made, Ok(()));
    text
}

#[test]
fn fields_are_documented_as_the_tables_have_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FIELDS.md");
    let document = document();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let wrong =
        document.lines().zip(found.lines().chain(std::iter::repeat(""))).find(|(now, then)| now != then);
    assert_eq!(wrong, None, "UPDATE_GENERATED=1 cargo test -p flow-query fields");
    assert_eq!(document.len(), found.len(), "FIELDS.md says more than there is");
}
