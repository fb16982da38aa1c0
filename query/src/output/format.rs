//! What `-o` names: THE table of formats.

use super::layout::Layout;
use super::{Null, RowFormat, Style};
use super::{arrow, csv, csv_fast, csv_list, json, lines, markdown, nfjson, raw};
use crate::columns::Columns;
use crate::message::{Failure, nearest};

/// How rows look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A line a row, of tags.
    Text,
    /// Everything, one column a line.
    Raw,
    Csv,
    /// nfdump's columns, numbers only.
    CsvFast,
    /// Tags the user picked.
    CsvList,
    Markdown,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// As `Json`, with nfdump's keys.
    NfJson,
    NfNdjson,
    /// A stream of Arrow IPC.
    Arrow,
    /// No rows, only the summary.
    Null,
}

/// A word behind `-o`.
struct Named {
    word: &'static str,
    format: Format,
    /// Tags of what is made of tags.
    layout: &'static str,
}

const fn text(word: &'static str, layout: &'static str) -> Named {
    Named { word, format: Format::Text, layout }
}

const fn whole(word: &'static str, format: Format) -> Named {
    Named { word, format, layout: "" }
}

/// THE table of formats. With a colon what they print follows; behind a text a 6 shows
/// IPv6 addresses in full.
#[rustfmt::skip]
static FORMATS: [Named; 23] = [
    text("line", "%ts %td %pr %sap -> %dap %pkt %byt %fl"),
    text("gline", "%ts %td %pr %gsap -> %gdap %pkt %byt %fl"),
    text("long", "%ts %td %pr %sap -> %dap %flg %tos %pkt %byt %fl"),
    text("glong", "%ts %td %pr %gsap -> %gdap %flg %tos %pkt %byt %fl"),
    text("extended", "%ts %td %pr %sap -> %dap %flg %tos %pkt %byt %pps %bps %bpp %fl"),
    text("biline", "%ts %td %pr %sap <-> %dap %opkt %ipkt %obyt %ibyt %fl"),
    text("bilong", "%ts %td %pr %sap <-> %dap %flg %tos %opkt %ipkt %obyt %ibyt %fl"),
    text("nsel", "%ts %evt %xevt %pr %sap -> %dap %xsap -> %xdap %ibyt %obyt"),
    text("nat", "%ts %nevt %pr %sap -> %dap %nsap -> %ndap"),
    whole("raw", Format::Raw),
    whole("csv", Format::Csv),
    whole("csv-fast", Format::CsvFast),
    whole("json", Format::Json),
    whole("ndjson", Format::Ndjson),
    whole("nfjson", Format::NfJson),
    whole("nfndjson", Format::NfNdjson),
    Named { word: "md", format: Format::Markdown, layout: "%ts,%td,%pr,%sap,%dap,%pkt,%byt,%fl" },
    whole("arrow", Format::Arrow),
    whole("null", Format::Null),
    text("fmt:", ""),
    whole("csv:", Format::CsvList),
    whole("md:", Format::Markdown),
    whole("arrow:", Format::Arrow),
];

/// The tags of a format of text.
pub(super) fn predefined(word: &str) -> Option<&'static str> {
    let is_it = |named: &&Named| named.word == word && named.format == Format::Text;
    FORMATS.iter().find(is_it).map(|named| named.layout).filter(|layout| !layout.is_empty())
}

/// nfdump's words for formats that it no longer has or that are called otherwise here.
const OTHER_WORDS: [(&str, &str); 2] = [("pipe", "csv-fast"), ("nel", "nat")];

/// Every word of `-o`, in the order of the help.
pub(crate) fn words() -> impl Iterator<Item = &'static str> + Clone {
    FORMATS.iter().map(|named| named.word)
}

/// Every format with what it prints, in words.
#[cfg(test)]
pub(super) fn documented() -> impl Iterator<Item = (&'static str, String)> {
    FORMATS.iter().map(|named| {
        let what = match (named.format, named.word, named.layout) {
            (Format::Text, _, "") => "text with tags: `fmt:%ts %sap -> %dap %byt`".to_owned(),
            (Format::Text, _, tags) => format!("`fmt:{tags}`"),
            (Format::Markdown, _, "") => "a Markdown table of a list of tags".to_owned(),
            (Format::Markdown, _, tags) => format!("`md:{tags}`"),
            (Format::Arrow, "arrow", _) => "all columns as a stream of Arrow IPC".to_owned(),
            (Format::Arrow, ..) => "some columns of it: `arrow:received,src_addr,bytes`".to_owned(),
            (Format::Raw, ..) => "every column of a record that is not NULL, one a line".to_owned(),
            (Format::Csv, ..) => {
                "`csv:%ts,%td,%pr,%sa,%sp,%da,%dp,%pkt,%byt,%fl`, then columns an operator defined".to_owned()
            }
            (Format::CsvFast, ..) => {
                "nfdump's fixed columns, times in milliseconds since the epoch".to_owned()
            }
            (Format::CsvList, ..) => {
                "a list of tags, or of names of columns: `csv:%ts,src_addr,%byt`".to_owned()
            }
            (Format::Json, ..) => "an array of objects, a key for every column that is not NULL".to_owned(),
            (Format::Ndjson, ..) => "the same, one object a line".to_owned(),
            (Format::NfJson, ..) => "an array of objects with the keys of nfdump".to_owned(),
            (Format::NfNdjson, ..) => "the same, one object a line".to_owned(),
            (Format::Null, ..) => "no rows, only the summary".to_owned(),
        };
        (named.word, what)
    })
}

/// What `-o` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) format: Format,
    pub(crate) layout: Layout,
    /// A 6 at the end asked for IPv6 addresses in full.
    pub(crate) is_ipv6_full: bool,
    /// The tags are the user's own.
    pub(crate) is_own: bool,
}

impl Chosen {
    /// What `text` means; `None` where it is a word nothing here has.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Failure> {
        let known = |word: &str| FORMATS.iter().find(|named| named.word == word);
        let prefix = |named: &&Named| named.word.ends_with(':') && text.starts_with(named.word);
        if let Some(named) = FORMATS.iter().find(prefix) {
            let layout = named.format.layout(&text[named.word.len()..], named.word)?;
            return Ok(Some(Self { format: named.format, layout, is_ipv6_full: false, is_own: true }));
        }
        let full = || text.strip_suffix('6').and_then(known).filter(|named| named.format.is_for_people());
        let found = known(text).map(|named| (named, false)).or_else(|| full().map(|named| (named, true)));
        let Some((named, is_ipv6_full)) = found else { return Ok(None) };
        let layout = match named.layout {
            "" => Layout::default(),
            tags => named.format.layout(tags, named.word)?,
        };
        Ok(Some(Self { format: named.format, layout, is_ipv6_full, is_own: false }))
    }

    /// What is said of a word that is no format; `more` are names of the user's own.
    pub(crate) fn unknown<'a>(word: &str, more: impl Iterator<Item = &'a str> + Clone) -> Failure {
        let known = words().map(|word| -> &'a str { word });
        let words = known.chain(more);
        let word_lower = word.to_ascii_lowercase();
        let other = OTHER_WORDS.iter().find(|(other, _)| *other == word_lower).map(|(_, ours)| *ours);
        let hint = match other.or_else(|| nearest(&word_lower, words.clone())) {
            Some(meant) => format!("did you mean `-o {meant}`?"),
            None => format!("one of {}", words.collect::<Vec<_>>().join(", ")),
        };
        Failure::usage_hint(format!("unknown output format `{word}`"), hint)
    }
}

impl Format {
    fn layout(self, tags: &str, prefix: &str) -> Result<Layout, Failure> {
        match self {
            Self::Text => Layout::text(tags),
            Self::Markdown => Layout::list(tags, prefix, false),
            Self::Arrow => Layout::columns_only(tags, prefix),
            _ => Layout::list(tags, prefix, true),
        }
    }

    /// Whether people read it, and not programs.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Text | Self::Raw | Self::Null)
    }

    /// Whether statistics are a table of CSV.
    pub(crate) fn is_csv(self) -> bool {
        matches!(self, Self::Csv | Self::CsvFast | Self::CsvList)
    }

    /// Whether it prints the columns beyond the table.
    pub(super) fn has_extra(self, is_own: bool) -> bool {
        match self {
            Self::Raw | Self::Csv | Self::Json | Self::Ndjson => true,
            Self::Arrow => !is_own,
            _ => false,
        }
    }

    /// Whether its header names the columns beyond the table, so that they are to be
    /// known before the first file.
    pub(crate) fn has_extra_in_header(self) -> bool {
        matches!(self, Self::Csv | Self::Arrow)
    }

    /// Rows of it.
    pub(super) fn rows(self, style: &Style, columns: &Columns) -> Box<dyn RowFormat> {
        match self {
            Self::Text => Box::new(lines::Lines::new(style)),
            Self::Raw => Box::new(raw::Raw::new(style)),
            Self::Csv => Box::new(csv::Csv::new(style, columns)),
            Self::CsvFast => Box::new(csv_fast::CsvFast),
            Self::CsvList => Box::new(csv_list::CsvList::new(style)),
            Self::Markdown => Box::new(markdown::Markdown::new(style)),
            Self::Json | Self::Ndjson => Box::new(json::Json::new(style)),
            Self::NfJson | Self::NfNdjson => Box::new(nfjson::NfJson::new(style)),
            Self::Arrow => Box::new(arrow::Arrow::new(style, columns)),
            Self::Null => Box::new(Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_table_is_read() {
        for named in &FORMATS {
            let tags = if named.word.ends_with(':') { "%sa" } else { "" };
            let chosen = Chosen::parse(&format!("{}{tags}", named.word)).unwrap().unwrap();
            assert_eq!((chosen.format, chosen.is_own), (named.format, !tags.is_empty()), "{}", named.word);
            assert_eq!(chosen.layout == Layout::default(), named.layout.is_empty() && tags.is_empty());
            let full = Chosen::parse(&format!("{}6", named.word));
            let is_full = matches!(full, Ok(Some(Chosen { is_ipv6_full: true, .. })));
            assert_eq!(is_full, named.format.is_for_people() && tags.is_empty(), "{}6", named.word);
        }
        assert_eq!(Chosen::parse("pipe").unwrap(), None);
    }
}
