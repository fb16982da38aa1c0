//! What can be typed: options, their help, and clap's errors in our words.
//! Values are text here; `request` reads them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use flow_common::usage::in_our_words;

use crate::import;
use crate::live::Asked;
use crate::message::Failure;
use crate::request::PARQUET;
use crate::{filter, output, replay, statistic, verify};

/// Lists, filters and sums up the flow records flowcapd wrote.
#[derive(Debug, Parser)]
#[command(
    name = "flowdump",
    version,
    max_term_width = 100,
    override_usage = "flowdump [OPTIONS] ['FILTER']",
    next_help_heading = "Options"
)]
pub(crate) struct Args {
    /// File, or directory with everything below it [default: ./flows]
    #[arg(short = 'r', long, value_name = "FILE|DIR", help_heading = "What to read")]
    pub(crate) read: Option<PathBuf>,

    /// Files in sequence: `first:last`, or `first` to the end of its tree
    #[arg(
        short = 'R',
        long,
        value_name = "DIR|FILE:FILE",
        conflicts_with = "read",
        help_heading = "What to read"
    )]
    pub(crate) range: Option<String>,

    /// -r, -R or all there is in each of several directories side by side: `/var/flows/east:west`
    #[arg(short = 'M', long = "dirs", value_name = "DIR:NAMES", help_heading = "What to read")]
    pub(crate) dirs: Option<String>,

    /// Only flows completely inside a window: `2026/05/28.20:26:40-2026/05/28.21`, `2026/05/28`,
    /// `2026-05-28T20:00:00Z..2026-05-28T21:00:00Z`, `-1h`, `today`
    #[arg(
        short = 't',
        long,
        value_name = "WINDOW",
        allow_hyphen_values = true,
        help_heading = "What to read"
    )]
    pub(crate) time: Option<String>,

    /// Stop after N matching records
    #[arg(short = 'c', long, value_name = "N", allow_hyphen_values = true, help_heading = "What to read")]
    pub(crate) count: Option<String>,

    /// Read the filter from a file
    #[arg(
        short = 'f',
        long = "filter-file",
        value_name = "FILTERFILE",
        conflicts_with = "filter",
        help_heading = "What to read"
    )]
    pub(crate) filter_file: Option<PathBuf>,

    /// Statistics about a value: `srcip`, `dstport/bytes`, `proto:p/packets/flows:a`; repeat for more
    #[arg(short = 's', long = "stat", value_name = "STAT[:p][/ORDER]", help_heading = "What to answer")]
    pub(crate) stat: Vec<String>,

    /// Flows of one 5-tuple in one row: `-A proto,srcip,dstip,srcport,dstport`
    #[arg(short = 'a', long = "aggregate-flows", help_heading = "What to answer")]
    pub(crate) aggregate_flows: bool,

    /// As -a, of TCP and UDP with the flows that answer, in the direction of what began first
    #[arg(
        short = 'b',
        long = "bidirectional",
        conflicts_with = "aggregate_flows",
        help_heading = "What to answer"
    )]
    pub(crate) bidirectional: bool,

    /// As -b, from client to server as far as ports tell
    #[arg(
        short = 'B',
        long = "guess-direction",
        conflicts_with_all = ["aggregate_flows", "bidirectional"],
        help_heading = "What to answer"
    )]
    pub(crate) guess_direction: bool,

    /// Flows with the same values in one row: `srcip4/24,srcip6/48,dstport`; names of columns will
    /// do. With `-s record/bytes` the first ten by bytes
    #[arg(
        short = 'A',
        long = "aggregate",
        value_name = "KEYS",
        conflicts_with_all = ["aggregate_flows", "bidirectional", "guess_direction"],
        help_heading = "What to answer"
    )]
    pub(crate) aggregate: Option<String>,

    /// Groups by the spans of time their flows began in, or sums of these alone: `10s`, `5m`, `1h`,
    /// `1d`. Rates are over the span, -n is of each span where rows are in their order
    #[arg(
        long,
        value_name = "WIDTH",
        conflicts_with_all = NOT_MEASURED,
        help_heading = "What to answer"
    )]
    pub(crate) bucket: Option<String>,

    /// How many different values columns have in each group, or in all: `dstport,srcip`. Exact
    #[arg(
        long,
        value_name = "COLUMNS",
        conflicts_with_all = NOT_MEASURED,
        help_heading = "What to answer"
    )]
    pub(crate) distinct: Vec<String>,

    /// Percentiles over the records of each group, or of all, of bytes, packets, duration, bps, pps
    /// or bpp: `bytes:95`. `bps@5m:95` is over the rates of five minutes each, as transit is billed
    #[arg(
        long,
        value_name = "COUNTER:P",
        allow_hyphen_values = true,
        conflicts_with_all = NOT_MEASURED,
        help_heading = "What to answer"
    )]
    pub(crate) percentile: Vec<String>,

    /// How far packets and bytes may be off for being sampled, 95 times in 100: 196 * sqrt(1/c) percent
    /// of c sampled packets
    #[arg(
        long,
        conflicts_with_all = NOT_MEASURED.into_iter().chain(["no_scale"]),
        help_heading = "What to answer"
    )]
    pub(crate) error: bool,

    /// What records, or rows of -a and -A, are ranked by: `bytes`, `packets:a`, `bytes,tstart`; of
    /// equals the next decides [default: of -a and -A flows]
    #[arg(short = 'O', long, value_name = "ORDERS", help_heading = "What to answer")]
    pub(crate) order: Option<String>,

    /// Which rows of -a, -A, -b, -B and -s: `bytes > 1g`; what they have, counters and keys
    #[arg(short = 'P', long = "post-filter", value_name = "FILTER", help_heading = "What to answer")]
    pub(crate) post_filter: Option<String>,

    /// The N first of every statistic, or of -a, -A and -O; 0 is all [default: 10 of a statistic]
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true, help_heading = "What to answer")]
    pub(crate) top: Option<String>,

    /// Totals of the files by protocol, from their metadata alone
    #[arg(short = 'I', long, help_heading = "What to answer")]
    pub(crate) info: bool,

    /// A line of CSV for each file, from its metadata alone: start of its slot, flows, packets, bytes
    #[arg(
        short = 'g',
        long = "files",
        conflicts_with_all = NOT_OF_WHOLE_FILES,
        help_heading = "What to answer"
    )]
    pub(crate) files: bool,

    /// Exporters and their sampling rates, from metadata alone
    #[arg(
        short = 'E',
        long,
        value_name = "FILE|DIR",
        num_args = 0..=1,
        conflicts_with_all = NOT_OF_WHOLE_FILES.into_iter().chain(["files"]),
        help_heading = "What to answer"
    )]
    pub(crate) exporters: Option<Option<PathBuf>>,

    /// Threads that work on the answer [default: one for each processor]
    #[arg(short = 'W', long, value_name = "N", help_heading = "What to answer")]
    pub(crate) threads: Option<String>,

    /// Memory for groups and for -O; what has no room there goes to a temporary file [default: a quarter of
    /// the machine's]
    #[arg(long, value_name = "BYTES", help_heading = "What to answer")]
    pub(crate) memory: Option<String>,

    /// Rows from which two passes find the largest groups: 0 lets tests reach both
    #[arg(long, value_name = "ROWS", hide = true)]
    pub(crate) two_passes_from: Option<String>,

    /// Only decode the columns the answer needs, all rows: what the benchmark compares with
    #[arg(long, hide = true)]
    pub(crate) decode_only: bool,

    /// Rows as they come, like `tail -f`: those received from now on, or since the start of `-t`
    #[arg(
        long,
        conflicts_with_all = ["stat", "top", "info", "range", "check", "order"],
        help_heading = "What to answer"
    )]
    pub(crate) follow: bool,

    /// Check the filter and stop
    #[arg(short = 'Z', long, help_heading = "What to answer")]
    pub(crate) check: bool,

    /// Say what the filter means and what it spares reading, and stop
    #[arg(long, conflicts_with_all = ["check", "follow"], help_heading = "What to answer")]
    pub(crate) explain: bool,

    /// How rows are printed; a 6 at the end shows IPv6 in full [default: line, of -b and -B biline]
    #[arg(short = 'o', long, value_name = "FORMAT", help_heading = "How to print")]
    pub(crate) output: Option<String>,

    /// Write flows, or the rows of -a and -A, to a Parquet file that -r reads again
    #[arg(
        short = 'w',
        long = "write",
        value_name = "FILE",
        conflicts_with_all = ["output", "info", "follow", "check"],
        help_heading = "How to print"
    )]
    pub(crate) write: Option<PathBuf>,

    /// With -w: replace the file if it is there
    #[arg(long, requires = "write", help_heading = "How to print")]
    pub(crate) force: bool,
    /// File with names for formats, `[formats]` and below it `short = "fmt:%ts %sap -> %dap"`
    /// [default: $FLOWDUMP_CONFIG, else ~/.config/flowdump.toml, else /etc/flowcap/flowdump.toml];
    /// `none` reads no file
    #[arg(short = 'C', long, value_name = "FILE", help_heading = "How to print")]
    pub(crate) config: Option<PathBuf>,

    /// Where addresses are and whose, for `geo` and `asn` in -s, -A and filters, and for tags such
    /// as %sc: a database in MaxMind's format; repeat for more; `none` is none [default: what `geo`
    /// in the file of --config names]
    #[arg(short = 'G', long = "geo", value_name = "FILE", help_heading = "What to answer")]
    pub(crate) geo: Vec<PathBuf>,

    /// Colours in what is for people: auto, always or never [default: auto, where a terminal shows
    /// it and NO_COLOR is not set]
    #[arg(long, value_name = "WHEN", help_heading = "How to print")]
    pub(crate) color: Option<String>,

    /// Packets and bytes as exported, not multiplied by sampling rates
    #[arg(long = "no-scale", help_heading = "How to print")]
    pub(crate) no_scale: bool,

    /// Packets and bytes multiplied by sampling rates where they are known: the default
    #[arg(long, hide = true, overrides_with = "no_scale")]
    pub(crate) scale: bool,

    /// Plain numbers: no `1.8 M`, protocols as numbers, durations in seconds
    #[arg(short = 'N', long, help_heading = "How to print")]
    pub(crate) plain: bool,

    /// No header and no summary
    #[arg(short = 'q', long, help_heading = "How to print")]
    pub(crate) quiet: bool,

    /// Nothing about how far it is, where stderr is a terminal and it takes long
    #[arg(long = "no-progress", help_heading = "How to print")]
    pub(crate) no_progress: bool,

    /// `json`: the summary as an object on stderr, in every format, instead of text below the answer
    #[arg(long, value_name = "FORMAT", help_heading = "How to print")]
    pub(crate) summary: Option<String>,

    /// Addresses that keep their prefixes and nothing else (Crypto-PAn), without MAC addresses and
    /// texts: 32 characters, or `0x` and 64 digits. Filters see the true ones
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with_all = ["follow", "info"],
        help_heading = "How to print"
    )]
    pub(crate) anonymize: Option<String>,

    /// The same, with a key that lies in a file, where `ps` does not show it
    #[arg(
        long = "anonymize-with",
        value_name = "FILE",
        conflicts_with_all = ["anonymize", "follow", "info"],
        help_heading = "How to print"
    )]
    pub(crate) anonymize_with: Option<PathBuf>,

    /// IPv6 addresses in full
    #[arg(short = '6', long, help_heading = "How to print")]
    pub(crate) ipv6: bool,

    /// Times in UTC instead of the local zone, read and printed
    #[arg(long, help_heading = "How to print")]
    pub(crate) utc: bool,

    /// Which flows, for example 'proto tcp and dst port 443'
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub(crate) filter: Vec<OsString>,
}

/// What has no groups, or such as can't be measured.
const NOT_MEASURED: [&str; 6] = ["info", "files", "exporters", "follow", "bidirectional", "guess_direction"];

/// What is asked of rows, and can't be of what files say of themselves.
const NOT_OF_WHOLE_FILES: [&str; 12] = [
    "stat",
    "post_filter",
    "aggregate",
    "aggregate_flows",
    "bidirectional",
    "guess_direction",
    "info",
    "filter",
    "filter_file",
    "time",
    "write",
    "follow",
];

/// What was typed.
pub(crate) enum Parsed {
    Args(Box<Args>),
    /// `flowdump top`.
    Top(Box<Asked>),
    /// `flowdump import`.
    Import(Box<import::Asked>),
    /// `flowdump verify`.
    Verify(Box<verify::Asked>),
    /// `flowdump replay`.
    Replay(Box<replay::Asked>),
    /// Help or version: to be printed as it is.
    Text(String),
}

/// Reads the command line, the program's name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let mut args: Vec<_> = args.into_iter().collect();
    let word = args.get(1).and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    if [TOP, IMPORT, REPLAY, VERIFY, VERIFY_OPTION].contains(&&*word) {
        args.remove(1);
    }
    match &*word {
        TOP => return read(Asked::command, args, "flowdump top", Parsed::Top),
        IMPORT => return read(import::Asked::command, args, "flowdump import", Parsed::Import),
        VERIFY | VERIFY_OPTION => {
            return read(verify::Asked::command, args, "flowdump verify", Parsed::Verify);
        }
        REPLAY => return read(replay::Asked::command, args, "flowdump replay", Parsed::Replay),
        _ => {}
    }
    read(|| Args::command().after_help(after_help()), args, "flowdump", Parsed::Args)
}

/// The word that asks for the screen, where it comes first.
const TOP: &str = "top";
/// The word that asks for files of nfcapd to be stored.
const IMPORT: &str = "import";
/// The word that asks for flows to be sent.
const REPLAY: &str = "replay";

/// The word that asks whether files are sound, and nfdump's option for it.
const VERIFY: &str = "verify";
const VERIFY_OPTION: &str = "-v";

/// What these words mean, as if they had been typed after `flowdump`.
pub(crate) fn args_of(words: Vec<String>) -> Result<Box<Args>, Failure> {
    let args = std::iter::once("flowdump".to_owned()).chain(words);
    let parsed = read(Args::command, args.map(OsString::from).collect(), "flowdump", Parsed::Args)?;
    match parsed {
        Parsed::Args(args) => Ok(args),
        _ => Err(Failure::usage("no question")),
    }
}

fn read<T: FromArgMatches + CommandFactory>(
    with_help: impl FnOnce() -> clap::Command,
    args: Vec<OsString>,
    program: &str,
    parsed: impl FnOnce(Box<T>) -> Parsed,
) -> Result<Parsed, Failure> {
    match T::command().try_get_matches_from(&args).and_then(|matches| T::from_arg_matches(&matches)) {
        Ok(args) => Ok(parsed(Box::new(args))),
        // What the tables know is put together only for those who ask.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            let error = with_help().try_get_matches_from(args).err().unwrap_or(error);
            Ok(Parsed::Text(error.to_string()))
        }
        Err(error) if error.kind() == ErrorKind::DisplayVersion => Ok(Parsed::Text(error.to_string())),
        Err(error) => {
            let (message, hint) = in_our_words(&error.to_string(), program);
            let of_nfdump = NFDUMP_OPTIONS.iter().find(|(option, _)| message == unknown_option(option));
            let hint = of_nfdump.map_or(hint, |(_, instead)| (*instead).to_owned());
            Err(Failure::usage_hint(message, hint))
        }
    }
}

/// nfdump's options that are none here, and what to type instead.
const NFDUMP_OPTIONS: [(&str, &str); 12] = [
    ("-D", "leave it out: names are looked up by the system"),
    ("-i", "`flowcapd -I IDENT` names what it writes; a file keeps its name"),
    ("-J", "leave it out: files are compressed as they are written; `flowcapd compact` makes them smaller"),
    ("-j", COMPRESSED),
    ("-m", "`-O tstart` ranks by start"),
    ("-S", "`-s srcip -s dstip` names the statistics"),
    ("-T", "leave it out, or take `-o ndjson` for other programs"),
    ("-X", "`--explain` says what a filter means"),
    ("-x", "leave it out: files say themselves what columns they have"),
    ("-y", COMPRESSED),
    ("-z", COMPRESSED),
    ("-K", "`--anonymize KEY` makes addresses other ones, as nfanon does"),
];
const COMPRESSED: &str = "leave it out: what -w writes is compressed";

fn unknown_option(option: &str) -> String {
    format!("unknown option `{option}`")
}

/// Everything that can be typed, as one command: for manual pages and shells.
pub fn whole_command() -> clap::Command {
    let words = [
        (TOP, Asked::command()),
        (IMPORT, import::Asked::command()),
        (REPLAY, replay::Asked::command()),
        (VERIFY, verify::Asked::command()),
    ];
    Args::command()
        .after_help(after_help())
        .disable_help_subcommand(true)
        .subcommands(words.map(|(word, command)| command.name(word)))
}

/// Examples, and what the tables know.
fn after_help() -> String {
    let mut nouns: Vec<String> =
        filter::nouns().iter().filter(|noun| !noun.is_further()).map(|noun| noun.phrase()).collect();
    nouns.extend(["port", "ip", "net", "if", "as"].map(str::to_owned));
    nouns.sort();
    let formats: Vec<_> = output::words().chain([PARQUET]).collect();
    let orders: Vec<_> = statistic::order_words().collect();
    format!(
        "\
Examples:
  flowdump                                    everything below ./flows
  flowdump -t -1h 'proto tcp and port 443'    TLS of the last hour
  flowdump -s srcip/bytes -n 20               who sends most
  flowdump -s dstport/flows -s proto/bytes    two statistics in one pass
  flowdump --bucket 5m -s srcip/bytes -n 3    who sent most, every five minutes
  flowdump -A srcip --distinct dstport -O distinct -n 10   who asked for most ports
  flowdump -c 5 -o raw 'host 192.0.2.1'       all that is known of five records
  flowdump -o ndjson 'net 10.0.0.0/8' | jq .  for other programs
  flowdump -r flows/date=2026-11-21 -I        totals of a day
  flowdump -w dns.parquet 'port 53'           those flows in a file of their own
  flowdump --follow 'proto icmp'              flows as they come, like `tail -f`
  flowdump top -s dstport/flows 'proto udp'   a screen of who talks most; `flowdump top --help`
  flowdump import /var/nfcapd -w flows        files of nfcapd too; `flowdump import --help`
  flowdump verify flows                       whether all files are sound
  flowdump replay -H 192.0.2.9 -p 2055        flows to a collector; `flowdump replay --help`

Formats of -o; tags such as `fmt:%ts %sap -> %dap %byt %inam` or `csv:%ts,%sa,%byt` follow a colon:
{}
Words of -s, then orders ({}):
{}
Filters: NOUN [=|!=|<|<=|>|>=] VALUE, NOUN [not] in [VALUE …], NOUN null, NOUN present, joined by
and, or, not, ( ). A VALUE may be a range such as 80-90. Numbers take k, m, g and t; a noun without
src or dst means either. Also any, ipv4, ipv6, sampled, `@include FILE`, and the names of columns,
also of those that flowcapd's configuration defined. Nouns:
{}
Exit status: 0 done, 1 failed, 2 usage or filter, 3 some files could not be read, 130 Ctrl-C
",
        columns(&formats),
        orders.join(", "),
        columns(&statistic::words()),
        columns(&nouns),
    )
}

/// `words` in lines of at most 96 characters.
fn columns(words: &[impl AsRef<str>]) -> String {
    const WIDTH: usize = 96;
    let mut text = String::new();
    let mut line = String::from(" ");
    for (index, word) in words.iter().enumerate() {
        let comma = if index + 1 < words.len() { "," } else { "" };
        let word = word.as_ref();
        if line.len() + word.len() + 2 > WIDTH {
            text += &line;
            text += "\n";
            line = String::from(" ");
        }
        line += &format!(" {word}{comma}");
    }
    text + &line + "\n"
}
