//! What a row prints, as tags: text between them (`fmt:%ts %sa`), or a list of them
//! (`csv:%ts,%sa`, `md:%ts,%sa`).

use std::collections::BTreeSet;

use flow_common::column::ColumnId;

use super::format::predefined;
use super::tag::Tag;
use super::value::Value;
use crate::message::Failure;

/// What is printed of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Text(String),
    Tag(Tag),
}

impl Layout {
    /// Reads text with tags.
    pub(super) fn text(text: &str) -> Result<Self, Failure> {
        let mut items = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            if !before.is_empty() {
                items.push(Item::Text(before.to_owned()));
            }
            match tag_at(after) {
                Some((tag, length)) => {
                    items.push(Item::Tag(tag));
                    rest = &after[length..];
                }
                None => {
                    let word = &after[..word_length(after)];
                    // `%long %ra`: all of a format, and more.
                    let tags = predefined(word).ok_or_else(|| unknown(after, "fmt:"))?;
                    items.extend(Self::text(tags)?.0);
                    rest = &after[word.len()..];
                }
            }
        }
        if !rest.is_empty() {
            items.push(Item::Text(rest.to_owned()));
        }
        Ok(Self(items))
    }

    /// Reads a list of tags, or of names of columns, that a format of this `prefix`
    /// prints, each a single value where `is_for_programs`.
    pub(super) fn list(text: &str, prefix: &str, is_for_programs: bool) -> Result<Self, Failure> {
        let mut items = Vec::new();
        for entry in text.split(',').map(str::trim) {
            let word = entry.strip_prefix('%').unwrap_or(entry);
            let tag = Tag::find(word).ok_or_else(|| unknown(word, prefix))?;
            if tag.value == Value::LineEnd || is_for_programs && tag.key().is_empty() {
                let hint = "name each by itself: `%sa,%sp` instead of `%sap`";
                return Err(Failure::usage_hint(format!("`%{word}` is not one value for `{prefix}`"), hint));
            }
            items.push(Item::Tag(tag));
        }
        Ok(Self(items))
    }

    /// Reads a list as [`Layout::list`] does, of columns as they are stored.
    pub(super) fn columns_only(text: &str, prefix: &str) -> Result<Self, Failure> {
        let layout = Self::list(text, prefix, true)?;
        let odd = layout.tags().find(|tag| tag.value.column().is_none()).copied();
        match odd {
            None => Ok(layout),
            Some(tag) => {
                let hint = "the names of columns: `arrow:received,src_addr,bytes`";
                Err(Failure::usage_hint(format!("`%{}` is no column for `{prefix}`", tag.word), hint))
            }
        }
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.0
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &Tag> + Clone {
        self.0.iter().filter_map(|item| match item {
            Item::Text(_) => None,
            Item::Tag(tag) => Some(tag),
        })
    }

    pub(super) fn values(&self) -> impl Iterator<Item = Value> + Clone {
        self.tags().map(|tag| tag.value)
    }

    /// Columns it is made of.
    pub(super) fn columns(&self) -> BTreeSet<ColumnId> {
        self.values().flat_map(Value::columns).collect()
    }

    /// Whether it prints names of numbers.
    pub(super) fn has_names(&self) -> bool {
        self.values().any(|value| matches!(value, Value::Name(_)))
    }

    /// Whether it prints what databases of places tell.
    pub(super) fn has_places(&self) -> bool {
        self.values().any(Value::is_place)
    }

    /// Whether it prints autonomous systems.
    pub(super) fn has_origins(&self) -> bool {
        self.values().any(|value| value.looked_up() != value)
    }

    /// Looks systems up where exporters told none.
    pub(crate) fn look_origins_up(&mut self) {
        for item in &mut self.0 {
            if let Item::Tag(tag) = item {
                tag.value = tag.value.looked_up();
            }
        }
    }

    /// Whether it prints when a flow was received only where that tells no time.
    pub(super) fn has_fallback_time(&self) -> bool {
        self.values().all(|value| value.has_counters() || value.columns().all(|id| id != ColumnId::Received))
    }

    /// Whether it prints which row of all each is.
    pub(super) fn has_number(&self) -> bool {
        self.values().any(|value| value == Value::Number)
    }
}

/// The tag `text` begins with, and how long it is. A column's name has underscores;
/// behind a tag they are text.
fn tag_at(text: &str) -> Option<(Tag, usize)> {
    let end = |is_of: fn(char) -> bool| text.find(|c| !is_of(c)).unwrap_or(text.len());
    let long = end(|c| c.is_ascii_alphanumeric() || c == '_');
    let short = end(|c| c.is_ascii_alphanumeric());
    [long, short].into_iter().find_map(|length| Some((Tag::find(&text[..length])?, length)))
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn unknown(text: &str, prefix: &str) -> Failure {
    let word = &text[..word_length(text)];
    let hint = match Tag::nearest(word) {
        Some(likely) => format!("did you mean `%{likely}`?"),
        None if prefix == "fmt:" => "for example `-o 'fmt:%ts %sap -> %dap %pkt %byt %inam'`".to_owned(),
        None => format!("for example `-o '{prefix}%ts,%sa,%da,%byt'`"),
    };
    Failure::usage_hint(format!("unknown tag `%{word}` in `{prefix}`"), hint)
}

#[cfg(test)]
mod tests {
    use super::super::tag::TAGS;
    use super::*;

    /// Words of its tags, `'…'` for text between them; or what is said of it.
    fn shown(layout: Result<Layout, Failure>) -> String {
        let item = |item: &Item| match item {
            Item::Text(text) => format!("'{text}'"),
            Item::Tag(tag) => tag.word.to_owned(),
        };
        match layout {
            Ok(layout) => layout.0.iter().map(item).collect::<Vec<_>>().join(" "),
            Err(Failure::Usage { message, hint }) => format!("{message}; {}", hint.unwrap_or_default()),
            Err(other) => format!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shown(Layout::text(text)), expected, "{text}");
    }

    #[test]
    fn tags_are_read() {
        check("", "");
        check("%sa -> %da", "sa ' -> ' da");
        check("%in%n", "in n");
        check("%nbnam%td", "nbnam td");
        check("%in_%out", "in '_' out");
        check("%in_if%vlan", "in_if vlan");
        check("x", "'x'");
        check("%inma", "unknown tag `%inma` in `fmt:`; did you mean `%inam`?");
        check(
            "%qqqqq",
            "unknown tag `%qqqqq` in `fmt:`; for example `-o 'fmt:%ts %sap -> %dap %pkt %byt %inam'`",
        );
        check("%line|%ra", "ts ' ' td ' ' pr ' ' sap ' -> ' dap ' ' pkt ' ' byt ' ' fl '|' ra");
        check("100 %", "unknown tag `%` in `fmt:`; for example `-o 'fmt:%ts %sap -> %dap %pkt %byt %inam'`");
    }

    #[test]
    fn lists_are_read() {
        let check =
            |text: &str, expected: &str| assert_eq!(shown(Layout::list(text, "csv:", true)), expected);
        check("%ts,%sa, bytes", "ts sa bytes");
        check("src_addr,%byt", "src_addr byt");
        let hint = "name each by itself: `%sa,%sp` instead of `%sap`";
        check("%sap", &format!("`%sap` is not one value for `csv:`; {hint}"));
        check("%n", &format!("`%n` is not one value for `csv:`; {hint}"));
        check("src_adr", "unknown tag `%src_adr` in `csv:`; did you mean `%src_addr`?");
        check("", "unknown tag `%` in `csv:`; for example `-o 'csv:%ts,%sa,%da,%byt'`");
        assert_eq!(shown(Layout::list("%sap", "md:", false)), "sap");
    }

    #[test]
    fn every_tag_is_one_item() {
        for tag in &TAGS {
            check(&format!("%{}", tag.word), tag.word);
        }
    }
}
