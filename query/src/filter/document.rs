//! The reference of the language, `FILTER.md`, made from its tables.

use std::fmt::Write;
use std::path::Path;

use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Unit};

use super::number::Scale;
use super::tests::{Told, result};
use super::vocabulary::{MISSING, Noun, Quantity, SINGLES, SYNONYMS, find, nouns};
use super::words::{DSCP, ECN, Meaning, words};
use crate::columns::Columns;
use crate::names::NAME_COLUMNS;

/// A way in which filters do not mean what they mean to nfdump.
pub(super) struct Difference {
    /// Filters of nfdump it is about.
    pub(super) filters: &'static [&'static str],
    /// What nfdump 1.7.8 does.
    pub(super) nfdump: &'static str,
    /// What is done here, and why.
    pub(super) here: &'static str,
}

const fn difference(
    filters: &'static [&'static str],
    nfdump: &'static str,
    here: &'static str,
) -> Difference {
    Difference { filters, nfdump, here }
}

pub(super) const DIFFERENCES: &[Difference] = &[
    difference(
        &["net 192.168.1.10/24", "ip in [192.168.1.10/24]"],
        "matches nothing: host bits are compared",
        "the network they lie in, with a note",
    ),
    difference(&["net 0.0.0.0/0", "net ::/0", "ip in [0.0.0.0/0]"], "matches nothing", "all of the family"),
    difference(
        &["mpls label1 1010", "mpls exp2 > 3"],
        "the entry after the one named",
        "entries count from 1, the top",
    ),
    difference(
        &["mpls label11 5", "mpls label0 5", "mpls label99 5", "mpls exp99 5"],
        "accepted; reads beyond the stack",
        "an error: a stack has entries 1 to 10",
    ),
    difference(&["mpls any > 5"], "the comparator is ignored", "some label is above 5"),
    difference(&["host ::ffff:8.8.8.8"], "does not match IPv4", "the IPv4 address it stands for"),
    difference(
        &["host www.example.com"],
        "looks the name up and asks for all its addresses",
        "an error: a query has the same answer tomorrow",
    ),
    difference(
        &["src ip tor", "ip tor"],
        "a database of Tor exits",
        "an error: `ip in [@include tor.list]` takes any list",
    ),
    difference(&["flags X"], "`X` is `UAPRSF`", "the same; `flags = X` leaves C and E unset"),
    difference(
        &["flags =SA"],
        "compares eight bits",
        "the same, of the sixteen that are stored the low eight",
    ),
    difference(
        &["icmp type 8"],
        "the destination port of ICMP",
        "the column where the exporter sent it, else that port",
    ),
    difference(&["mac 00:11:22:33:44:55:66"], "reads the first six octets", "an error"),
    difference(&["mac 00:00:00:00:00:00"], "rejected", "matches where the exporter sent zeros"),
    difference(
        &["duration > 5m", "client latency > 5m"],
        "5 million of its units",
        "the same, with a note: minutes are `5min`",
    ),
    difference(
        &["first seen = 2026-05-28", "first seen 2026-05-28"],
        "that instant",
        "the period named: all of that day",
    ),
    difference(&["count > 100", "cnt > 5"], "the number of the record", "an error: `-c` stops after so many"),
    difference(
        &["exporter id 1", "exporter sysid > 0"],
        "a number of its own",
        "an error: exporters are told by address",
    ),
    difference(
        &["src geo US", "geo CH"],
        "a database in a format of its own; without one no flow",
        "those in MaxMind's format that `-G` names; it asks for one",
    ),
    difference(
        &["payload content 'GET'", "payload tls sni example.com"],
        "packets of its own probe",
        "an error: exporters send no payload",
    ),
    difference(&["pf action block", "pf rule > 5"], "logs of pf", "an error: they are no flow records"),
    difference(
        &["bytes > 1M", "packets > 1k", "bps > 10m"],
        "counters as they were sent",
        "multiplied by the sampling rate where one is known; `--no-scale` leaves them",
    ),
];

/// Nouns in the order of the table, those of one quantity together.
fn phrases(is_asked: impl Fn(Quantity) -> bool) -> Vec<String> {
    nouns().iter().filter(|noun| is_asked(noun.quantity)).map(Noun::phrase).collect()
}

fn code(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// How values of a column are written.
fn values(column: &Column) -> String {
    match (column.id, column.kind) {
        (ColumnId::TcpFlags, _) => "letters, number".into(),
        (ColumnId::Protocol | ColumnId::TunnelProtocol, _) => "name, number".into(),
        (ColumnId::ApplicationId, _) => "number, `3..53`".into(),
        (ColumnId::IngressAcl | ColumnId::EgressAcl, _) => "number: one of the three ids".into(),
        (ColumnId::MplsLabels, _) => "number: any label".into(),
        (_, Kind::Int32 | Kind::Int64) if !words(column.id).is_empty() => "word, number".into(),
        (_, Kind::Int32 | Kind::Int64) => match column.unit {
            Unit::Microseconds => "time span".into(),
            Unit::Bytes => "octets".into(),
            _ => "number".into(),
        },
        (_, Kind::Timestamp) => "time".into(),
        (_, Kind::Address) => "address, prefix".into(),
        (_, Kind::Mac) => "MAC".into(),
        (_, Kind::Text) => "text".into(),
        (_, Kind::Binary) => "hex".into(),
        (_, Kind::Float64) => "number with a fraction".into(),
        (_, Kind::Boolean) => "`true`, `false`".into(),
        (_, Kind::Labels | Kind::Other) => "none: only `null` and `present`".into(),
    }
}

/// What columns nouns without a side mean.
fn sideless() -> Vec<(String, String)> {
    let is_side = |word: &&str| super::vocabulary::SIDES.contains(word);
    let mut found: Vec<(String, String)> = Vec::new();
    for noun in nouns() {
        let words: Vec<_> = noun.words.iter().map(String::as_str).collect();
        let bare: Vec<String> =
            words.iter().filter(|word| !is_side(word)).map(|word| (*word).to_owned()).collect();
        let meant = find(&bare, &Columns::default());
        if meant.len() < 2 || found.iter().any(|(phrase, _)| *phrase == bare.join(" ")) {
            continue;
        }
        let columns = meant.iter().map(|quantity| match quantity {
            Quantity::Column(column) | Quantity::Net(column) => column.to_string(),
            Quantity::Dscp(id) | Quantity::Ecn(id) | Quantity::Acl(id) => id.name().to_owned(),
            Quantity::Measure(measure) => measure.name().to_owned(),
            Quantity::Label(part) => part.to_string(),
            Quantity::Name(index) => NAME_COLUMNS[*index].name.to_owned(),
            Quantity::Country(id) => format!("country of {}", id.name()),
            Quantity::Ident => "ident".to_owned(),
        });
        found.push((bare.join(" "), code(columns)));
    }
    found
}

fn meanings(all: &[Meaning]) -> String {
    let one = |(word, (low, high)): &Meaning| match low == high {
        true => format!("`{word}` {low}"),
        false => format!("`{word}` {low}–{high}"),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

const BEGINNING: &str = "\
<!-- Generated from query/src/filter; `UPDATE_GENERATED=1 cargo test -p flow-query --lib filter` renews it. -->

# Filters

A filter is the last argument of `flowdump`, or a file after `-f`. It is nfdump's language, with every column
as a noun and every comparator for each of them.

    flowdump 'proto tcp and (dst port 443 or dst port 8000-8100) and not src net 10.0.0.0/8'

`flowdump -Z 'FILTER'` checks one, `flowdump --explain 'FILTER'` says what it means and how much it spares reading.

## Grammar

    filter  = [ or ]
    or      = and { ( \"or\" | \"||\" ) and }
    and     = not { ( \"and\" | \"&&\" ) not }
    not     = ( \"not\" | \"!\" ) not | \"(\" or \")\" | term
    term    = SINGLE
            | NOUN [ comparator ] value
            | NOUN [ \"not\" ] \"in\" \"[\" value { [ \",\" ] value } \"]\"
            | NOUN [ \"is\" [ \"not\" ] ] ( \"null\" | \"present\" )
            | \"net\" address mask
            | \"ttl\" \"equal\" | [ \"src\" | \"dst\" ] \"port\" \"in\" \"nat\" \"pblock\"

- `not` binds tighter than `and`, `and` tighter than `or`. Words are the same in upper and lower case, but for
  letters of flags and for text.
- Comparators: `=` `==` `eq`, `!=` `<>` `ne`, `<` `lt`, `<=` `le`, `>` `gt`, `>=` `ge`. None is `=`.
- A value is a word of letters, digits and `_:.-+/%@\\*$`, or a text in `'…'` or `\"…\"`.
- A range is a value: `80-90` or `80..90`, both ends included, of numbers, addresses, MACs and times (`A..B`).
  `>` is above all of it, `<` below. `port in [80-90, 443]` mixes ranges and values; `= [ … ]` and `!= [ … ]` are
  `in` and `not in`.
- Addresses compare within their family: `src ip > 10.0.0.0/8` is no IPv6 address.
- Text compares by its octets. Quote it where it has other characters, or is a word of the grammar.
- What an exporter did not send is `null`. It makes every condition false, `!=` too, and `not` of it true;
  `null` and `present` (`is null`, `is not null`, `!= null`) ask for it. A list may have `null` in it.
- `#` begins a comment that ends with the line; line ends mean no more than blanks.
- `@include FILE` is replaced by the text of a file, in the directory of the file that names it. Lists can be
  files: `src ip in [@include scanners]`.
- Nesting, length and includes are bounded; beyond, the filter is an error.

";

fn document() -> String {
    let mut text = BEGINNING.to_owned();
    let mut section = |title: &str, head: &str, rows: &[Vec<String>]| {
        let columns = rows.first().map_or(0, Vec::len);
        write!(text, "## {title}\n\n{head}").unwrap();
        if columns > 0 {
            writeln!(text, "|{}", "---|".repeat(columns)).unwrap();
        }
        let row = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>();
        rows.iter().for_each(|cells| writeln!(text, "| {} |", row(cells).join(" | ")).unwrap());
        text.push('\n');
    };
    let of_table = |column: &Column| {
        vec![code(column.filter), format!("`{}`", column.name), values(column), column.doc.to_owned()]
    };
    section(
        "Nouns",
        "Every column of the files is a noun, by these words and by its own name; columns that flowcapd's \
         configuration\nadded are by theirs.\n\n| Noun | Column | Values | What it is |\n",
        &COLUMNS.iter().map(of_table).collect::<Vec<_>>(),
    );
    section(
        "Nouns without a side",
        "They mean either column; with `!=`, `not in` and `null` both. `tos`, `dscp` and `ecn` are those on \
         arrival, and\n`packets` and `bytes` those of the flow itself.\n\n| Noun | Columns |\n",
        &sideless().into_iter().map(|(noun, columns)| vec![format!("`{noun}`"), columns]).collect::<Vec<_>>(),
    );
    let labels = phrases(|quantity| matches!(quantity, Quantity::Label(_)));
    let computed: [(&[&str], &str); 12] = [
        (
            &["duration"],
            "from first to last packet: `5000` is milliseconds, `5s`, `2min`, `1h`, `1d` are what they say",
        ),
        (
            &["bps", "pps", "bpp"],
            "bits and packets a second, octets a packet, rounded down; 0 for an instant",
        ),
        (
            &["icmp type", "icmp code"],
            "the column, else the octets of the destination port that NetFlow v5 uses for them",
        ),
        (&["dscp", "src dscp", "dst dscp"], "high six bits of `tos`; numbers and words"),
        (&["ecn", "src ecn", "dst ecn"], "low two bits of `tos`; numbers and words"),
        (
            &[
                "in if name",
                "out if name",
                "if name",
                "ingress vrf name",
                "egress vrf name",
                "vrf name",
                "sampler",
            ],
            "what the exporter calls the number, as its options data told; known when the question is asked",
        ),
        (&["app", "application"], "the name in the flow, else what the exporter calls its `app id`"),
        (
            &["src geo", "dst geo", "geo", "src nat geo", "dst nat geo", "src tun geo", "dst tun geo"],
            "the country of the address by the databases of `-G`, a code of two letters: `geo in [CH AT]`",
        ),
        (
            &["as", "src as", "dst as"],
            "the column; where it is 0 or `null` and a database of `-G` has systems, that of the address",
        ),
        (
            &["ident"],
            "what the collector calls itself (`flowcapd -I`), or the exporter (`-n`, `-M`), as `%idt` prints it",
        ),
        (&["ttl equal"], "`min ttl` and `max ttl` are the same"),
        (
            &["port in nat pblock"],
            "the port lies from `nat pblock start` to `nat pblock end`; also with `src` or `dst`",
        ),
    ];
    let mut rows: Vec<_> =
        computed.iter().map(|(nouns, what)| vec![code(*nouns), (*what).to_owned()]).collect();
    let is_shown =
        |phrase: &&String| ["label1", "label10", "exp1", "eos"].iter().any(|end| phrase.ends_with(end));
    rows.push(vec![
        code(labels.iter().filter(is_shown)),
        "label and traffic class of an entry, counted from 1, the top, to 10; the label at the bottom".into(),
    ]);
    section("Computed nouns", "| Noun | What it is |\n", &rows);
    let singles = [
        "every flow",
        "an address of that family on either side",
        "an address of that family on either side",
        "as `ipv4`",
        "as `ipv6`",
        "the record tells a sampling rate above one",
    ];
    let rows: Vec<_> =
        SINGLES.iter().zip(singles).map(|(single, what)| vec![format!("`{single}`"), what.into()]).collect();
    section("Conditions of one word", "| Word | Which flows |\n", &rows);
    let suffixes = |scale: Scale| code(scale.suffixes().iter().map(|(suffix, _)| *suffix));
    let forms = [
        ("number", format!("decimal, or hex after `0x`; {} for powers of 1000, also `1.5m`", suffixes(Scale::Count))),
        ("octets", format!("the same with {}; `KiB` and so on are powers of 1024", suffixes(Scale::Bytes))),
        ("time span", format!("a latency is in microseconds, a duration in milliseconds; or with {}", suffixes(Scale::Microseconds))),
        ("time", "`2026-05-28T20:26:40.5`, parts left out from the end, `/` for `-`, `Z` or `+02:00` behind; `20:26`, `today`, \
          `yesterday`, `now`; `-1h` with `s`, `m`, `h`, `d`, `w`; seconds since 1970. `=` and `in` take all of the period named, \
          `<` and so on its beginning".to_owned()),
        ("address, prefix", "`192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`; after `net` a prefix or a dotted mask. Host bits are \
          left out, with a note".to_owned()),
        ("MAC", "`00:11:22:33:44:55`, `00-11-22-33-44-55`, `0011.2233.4455`".to_owned()),
        ("letters", "TCP flags `CEUAPRSF`, `X` for `UAPRSF`: all of them are set; `= SA` these of the low eight and no \
          others; `S/SA` of S and A only S. Only TCP has any".to_owned()),
    ];
    let rows: Vec<_> = forms.into_iter().map(|(form, how)| vec![form.to_owned(), how]).collect();
    section("Values", "| Values | How they are written |\n", &rows);
    let mut rows: Vec<_> = COLUMNS
        .iter()
        .filter(|column| !words(column.id).is_empty())
        .map(|column| vec![code(&column.filter[..1]), meanings(words(column.id))])
        .collect();
    rows.push(vec![code(["dscp"]), meanings(&DSCP)]);
    rows.push(vec![code(["ecn"]), meanings(&ECN)]);
    section("Words for numbers", "| Noun | Words |\n", &rows);
    let rows: Vec<_> = SYNONYMS.iter().map(|(other, ours)| vec![code([other]), code([ours])]).collect();
    section("Other spellings", "| Word | Is read as |\n", &rows);
    let rows: Vec<_> = DIFFERENCES
        .iter()
        .map(|one| vec![code(one.filters), one.nfdump.to_owned(), one.here.to_owned()])
        .collect();
    section(
        "Where filters of nfdump mean something else",
        "All else that nfdump 1.7.8 accepts means the same here. Beyond it, every comparator, list and range works \
         with\nevery noun.\n\n| Filter | nfdump | flowdump |\n",
        &rows,
    );
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[test]
fn the_reference_is_that_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FILTER.md");
    let fresh = document();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "FILTER.md is stale; UPDATE_GENERATED=1 rewrites it");
}

#[test]
fn differences_are_as_told() {
    for one in DIFFERENCES {
        for filter in one.filters {
            let found = result(filter, &mut Told::some());
            let is_error = one.here.contains("an error");
            assert_eq!(found.starts_with("error"), is_error, "{filter}: {found}");
            assert_eq!(found.contains("note: "), one.here.contains("a note"), "{filter}: {found}");
        }
    }
    for (phrase, _) in MISSING {
        let is_told = DIFFERENCES.iter().flat_map(|one| one.filters).any(|filter| filter.contains(phrase));
        assert!(is_told, "{phrase}");
    }
}
