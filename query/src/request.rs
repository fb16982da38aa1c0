//! What was typed to what is meant. After this nothing can be a usage error.

use std::ffi::OsStr;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::limits::{FILTER_BYTES_MAX, FOLLOW_SECS_MAX, TWO_PASSES_ROWS_MIN};
use flow_common::time::Timestamp;

use crate::aggregation::{self, Aggregation, Directions};
use crate::anonymize::Anonymizer;
use crate::catalog::{self, Source};
use crate::cli::Args;
use crate::columns::{Columns, Discovery};
use crate::config::{self, Config};
use crate::filter::{self, Meaning, Predicate, Test};
use crate::measure::{self, Measures};
use crate::message::{Failure, NameError, reason};
use crate::output::{self, Chosen, Format, Style};
use crate::places::{self, Places};
use crate::statistic::{Key, Ranking, Statistic};
use crate::surroundings::World;
use crate::time_range::{self, TimeRange};
use crate::write::Target;
use crate::{Env, Zone};

mod databases;
mod groups;
mod resources;

use self::databases::places;
use self::groups::{can_answer, post_filter, ranked_groups};
use self::resources::{memory_bytes, threads};

/// A question, complete and checked. A plain value: any engine may answer it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) source: Source,
    /// When it was asked.
    pub(crate) now: Timestamp,
    pub(crate) question: Question,
    /// Filter and window.
    pub(crate) predicate: Arc<Predicate>,
    /// Which groups are rows of the answer; `None` is all.
    pub(crate) post_filter: Option<Arc<Predicate>>,
    /// Matching records after which to stop.
    pub(crate) limit: Option<u64>,
    /// Packets and bytes are multiplied by sampling rates, where known.
    pub(crate) is_scaled: bool,
    /// What makes addresses of the answer other ones.
    pub(crate) anonymizer: Option<Arc<Anonymizer>>,
    /// What tells where addresses are.
    pub(crate) places: Option<Arc<Places>>,
    pub(crate) style: Style,
    /// The file the answer is written to, instead of text.
    pub(crate) write: Option<Target>,
    /// Threads that work on it.
    pub(crate) threads: usize,
    /// Octets its groups may hold before they go to disk.
    pub(crate) memory_bytes: usize,
    /// Rows from which two passes may find the largest groups.
    pub(crate) two_passes_from: u64,
    /// Nothing is answered, only read.
    pub(crate) is_decode_only: bool,
    /// Columns beyond the table that were looked for.
    pub(crate) columns: Columns,
    /// The rows received since then are to be followed.
    pub(crate) since: Option<Timestamp>,
    /// Whether a terminal may show how far it is.
    pub(crate) has_progress: bool,
    /// Whether the summary is for a program, on stderr.
    pub(crate) has_json_summary: bool,
    colour: Colour,
    /// What is to be said about the filter.
    pub(crate) notes: Vec<String>,
    /// Only how it would be answered is asked.
    pub(crate) is_explained: bool,
}

/// What is asked about the matching records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Nothing: only whether the filter is one.
    Check,
    /// The totals the files carry.
    Info,
    /// Each file's totals.
    Files,
    /// Who exported the records.
    Exporters,
    /// The records themselves.
    Rows,
    /// The records in an order of their own, the first `top` of them; 0 is all.
    Sorted { orders: Vec<Ranking>, top: usize },
    /// Groups and their counters, the `top` of each; 0 is all.
    Statistics { statistics: Vec<Statistic>, top: usize },
    /// Groups by a key of several columns, the first `top` of them; 0 is all.
    Aggregate { aggregation: Aggregation, top: usize },
}

/// The word after `-o` that writes a file to stdout.
pub(crate) const PARQUET: &str = "parquet";

/// Rows of a statistic without `-n`.
const TOP_DEFAULT: usize = 10;

impl Request {
    /// What `args` mean at the time and in the zone of `env`.
    pub(crate) fn new(args: Box<Args>, env: Env) -> Result<Self, Failure> {
        let env = if args.utc { Env { zone: Zone::Utc, ..env } } else { env };
        let write = write_target(&args)?;
        let output = args.output.as_deref().filter(|_| write.is_none());
        let chosen = chosen(output.unwrap_or(default_format(&args)), args.config.as_deref())?;
        let colour = args.color.as_deref().map(colour).transpose()?.unwrap_or_default();
        let format = chosen.format;
        let is_scaled = !args.no_scale;
        let databases = Arc::new(places::Chosen::new(&args.geo, args.config.as_deref()));
        let mut style = Style {
            format,
            layout: Arc::new(chosen.layout),
            is_own: chosen.is_own,
            is_ipv6_full: args.ipv6 || chosen.is_ipv6_full,
            is_plain: args.plain,
            is_quiet: args.quiet,
            is_coloured: colour == Colour::Always,
            zone: env.zone,
            places: None,
        };
        let text = filter_text(&args)?;
        let source = source(&args)?;
        let mut columns = Columns::default();
        let mut discovery = Discovery::new(&source, env.now);
        let directory = args.filter_file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut world = World::new(&source, env.now, directory.to_owned(), &databases);
        let measures = Arc::new(measures(&args, env.zone, &mut columns, &mut discovery)?);
        let stats = (&args.stat[..], &measures);
        let (Meaning { predicate, mut notes }, statistics) =
            noted_meaning(stats, &text, env, &mut columns, &mut discovery, &mut world)?;
        let aggregation = aggregation(&args, &measures, &mut columns, &mut discovery)?;
        if !measures.is_empty() {
            can_measure(&style, !statistics.is_empty())?;
        }
        let asked = ranked_groups(statistics, aggregation)?;
        can_answer(&asked, &measures, write.is_some())?;
        let post_filter = post_filter(&args, &asked, env, &columns, &mut world, &mut notes)?;
        let (mut statistics, mut aggregation) = asked;
        let anonymizer = anonymizer(&args)?;
        let groups = (&mut statistics[..], &mut aggregation);
        style.places = places(&args, &databases, &mut style, groups, &measures, anonymizer.is_some())?;
        let since = if args.follow { Some(since(&args, format, env)?) } else { None };
        let predicate = match &args.time {
            Some(window) if since.is_none() => window_of(window, env)?.and(predicate),
            _ => predicate,
        };
        let limit = args.count.as_deref().map(|text| number("-c", text)).transpose()?;
        let question = question(&args, &text, (statistics, aggregation), format)?;
        let is_rows = matches!(question, Question::Rows | Question::Sorted { .. });
        if is_rows && (format.has_extra_in_header() || write.is_some()) {
            // The header comes before the first file.
            discovery.all(&mut columns);
        }
        let (predicate, limit) = (Arc::new(predicate), limit.filter(|n| *n > 0));
        let (threads, memory_bytes) = (threads(&args)?, memory_bytes(&args)?);
        let two_passes_from = match &args.two_passes_from {
            Some(text) => number("--two-passes-from", text)?,
            None => TWO_PASSES_ROWS_MIN,
        };
        Ok(Self {
            source,
            now: env.now,
            question,
            predicate,
            post_filter,
            limit,
            is_scaled,
            anonymizer,
            places: databases.opened(),
            style,
            write,
            threads,
            memory_bytes,
            two_passes_from,
            is_decode_only: args.decode_only,
            columns,
            since,
            has_progress: !args.no_progress,
            has_json_summary: is_json_summary(args.summary.as_deref())?,
            colour,
            notes,
            is_explained: args.explain,
        })
    }

    /// With colours where they are left to what shows the answer, which has them or not.
    pub(crate) fn shown(mut self, has_colours: bool) -> Self {
        self.style.is_coloured |= self.colour == Colour::Auto && has_colours;
        self
    }
}

/// The files that are meant.
fn source(args: &Args) -> Result<Source, Failure> {
    let source = match (args.read.as_ref().or(args.exporters.iter().flatten().next()), &args.range) {
        (Some(path), _) => Source::Path(path.clone()),
        (None, Some(range)) => Source::Sequence(range.clone()),
        (None, None) => Source::Default,
    };
    match &args.dirs {
        Some(directories) => catalog::siblings(directories, &source),
        None => Ok(source),
    }
}

/// The file an answer goes to: `-w`, or stdout with `-o parquet`.
fn write_target(args: &Args) -> Result<Option<Target>, Failure> {
    if let Some(path) = &args.write {
        return Ok(Some(Target::File { path: path.clone(), may_replace: args.force }));
    }
    if args.output.as_deref() != Some(PARQUET) {
        return Ok(None);
    }
    if args.info || args.follow {
        let message = "`-o parquet` has flows and the rows of `-a` and `-A`, nothing else";
        return Err(Failure::usage_hint(message, "`-o csv` and `-o ndjson` are for other programs too"));
    }
    if std::io::stdout().is_terminal() {
        let message = "`-o parquet` is nothing for a terminal";
        return Err(Failure::usage_hint(message, "`-w FILE` writes a file"));
    }
    Ok(Some(Target::Stdout))
}

/// The filter and the statistics. Files are looked into only for a word that nothing
/// else explains.
pub(crate) fn meaning(
    stats: &[String],
    text: &str,
    env: Env,
    columns: &mut Columns,
    discovery: &mut Discovery<'_>,
) -> Result<(Predicate, Vec<Statistic>), Failure> {
    let (source, now) = discovery.asked();
    let mut world = World::new(source, now, PathBuf::new(), &Arc::default());
    let stats = (stats, &Arc::default());
    let (meaning, statistics) = noted_meaning(stats, text, env, columns, discovery, &mut world)?;
    Ok((meaning.predicate, statistics))
}

/// As [`meaning`], with what there is to say about the filter.
fn noted_meaning(
    stats: (&[String], &Arc<Measures>),
    text: &str,
    env: Env,
    columns: &mut Columns,
    discovery: &mut Discovery<'_>,
    world: &mut World<'_>,
) -> Result<(Meaning, Vec<Statistic>), Failure> {
    loop {
        match names(stats, text, env, columns, world) {
            Ok((mut meaning, statistics)) => {
                meaning.notes.append(&mut world.warnings);
                return Ok((meaning, statistics));
            }
            Err(error) if error.is_unknown_word && discovery.next(columns) => {}
            Err(error) => return Err(error.failure),
        }
    }
}

/// Where `--follow` begins.
fn since(args: &Args, format: Format, env: Env) -> Result<Timestamp, Failure> {
    if format == Format::Null {
        return Err(Failure::usage_hint("`-o null` prints no rows to follow", "`flowdump top` sums them up"));
    }
    let Some(window) = &args.time else { return Ok(env.now) };
    let since = range_of(window, env)?.start;
    if since.secs() < env.now.secs() - FOLLOW_SECS_MAX {
        let message = format!("`--follow` can't begin more than {} days ago", FOLLOW_SECS_MAX / 86_400);
        return Err(Failure::usage_hint(message, "ask for what is older without it"));
    }
    Ok(since)
}

/// What is asked of groups beyond their counters.
fn measures(
    args: &Args,
    zone: Zone,
    columns: &mut Columns,
    discovery: &mut Discovery<'_>,
) -> Result<Measures, Failure> {
    let Args { bucket, distinct, percentile, error, .. } = args;
    let asked = measure::Asked { bucket: bucket.as_deref(), distinct, percentile, error: *error };
    loop {
        match Measures::parse(asked, zone, columns) {
            Ok(measures) => return Ok(measures),
            Err(error) if error.is_unknown_word && discovery.next(columns) => {}
            Err(error) => return Err(error.failure),
        }
    }
}

/// That a format has columns for what is measured.
fn can_measure(style: &Style, is_of_statistics: bool) -> Result<(), Failure> {
    let is_of_rows = match style.format {
        Format::NfJson | Format::NfNdjson => true,
        Format::CsvList => !is_of_statistics,
        Format::Text | Format::Markdown | Format::Arrow => style.is_own && !is_of_statistics,
        _ => false,
    };
    if !is_of_rows {
        return Ok(());
    }
    let message = "this format has no place for buckets, distinct values, percentiles and errors";
    Err(Failure::usage_hint(
        message,
        "without `-o` they are a table; csv, json, ndjson, md and arrow have them",
    ))
}

/// What `-a`, `-A`, `-b` or `-B` says, or what is measured without any; `None` where it is
/// statistics or rows that are asked for.
fn aggregation(
    args: &Args,
    measures: &Arc<Measures>,
    columns: &mut Columns,
    discovery: &mut Discovery<'_>,
) -> Result<Option<Aggregation>, Failure> {
    let order = args.order.as_deref();
    let Some(keys) = &args.aggregate else {
        let directions = match args {
            Args { aggregate_flows: true, .. } => Directions::Apart,
            Args { bidirectional: true, .. } => Directions::Joined,
            Args { guess_direction: true, .. } => Directions::Guessed,
            _ if args.stat.is_empty() && !measures.is_empty() => {
                return Aggregation::alone(order, measures).map(Some);
            }
            _ => return Ok(None),
        };
        return Aggregation::five_tuple(order, directions, measures).map(Some);
    };
    loop {
        match Aggregation::parse(keys, order, columns, measures) {
            Ok(aggregation) => return Ok(Some(aggregation)),
            Err(error) if error.is_unknown_word && discovery.next(columns) => {}
            Err(error) => return Err(error.failure),
        }
    }
}

/// What depends on the names of columns: the filter and the statistics.
fn names(
    (stats, measures): (&[String], &Arc<Measures>),
    text: &str,
    env: Env,
    columns: &Columns,
    world: &mut World<'_>,
) -> Result<(Meaning, Vec<Statistic>), NameError> {
    let meaning = filter::compile(text, env, columns, world).map_err(|error| NameError {
        is_unknown_word: error.is_unknown_word,
        failure: Failure::Filter(error.text),
    })?;
    let statistics = stats.iter().map(|text| Statistic::parse(text, columns, measures));
    Ok((meaning, statistics.collect::<Result<_, _>>()?))
}

fn question(
    args: &Args,
    filter: &str,
    (statistics, aggregation): (Vec<Statistic>, Option<Aggregation>),
    format: Format,
) -> Result<Question, Failure> {
    let top = match &args.top {
        Some(text) => usize::try_from(number("-n", text)?).unwrap_or(usize::MAX),
        None if args.stat.is_empty() => 0,
        None => TOP_DEFAULT,
    };
    let orders = match &aggregation {
        Some(aggregation) => aggregation.orders.clone(),
        None => aggregation::orders(args.order.as_deref(), &Measures::default())?,
    };
    if args.order.is_some() && !args.stat.is_empty() {
        let hint = "the order of a statistic follows its word: `-s srcip/bytes`";
        return Err(Failure::usage_hint("`-O` ranks records and the rows of `-a` and `-A`", hint));
    }
    if args.check {
        return Ok(Question::Check);
    }
    if args.files {
        return Ok(Question::Files);
    }
    if args.exporters.is_some() {
        return Ok(Question::Exporters);
    }
    if args.info {
        if !filter.trim().is_empty() || args.time.is_some() || !statistics.is_empty() || aggregation.is_some()
        {
            let message = "`-I` gives the totals of whole files: no filter, no `-t`, no `-s`";
            return Err(Failure::usage_hint(message, "`-o null` prints the totals of what matches"));
        }
        return Ok(Question::Info);
    }
    if let Some(aggregation) = aggregation {
        return Ok(Question::Aggregate { aggregation, top });
    }
    if statistics.is_empty() {
        let is_sorted = args.order.is_some() && format != Format::Null;
        return Ok(if is_sorted { Question::Sorted { orders, top } } else { Question::Rows });
    }
    let tables: usize = statistics.iter().map(|statistic| statistic.rankings.len()).sum();
    if format.is_csv() && tables > 1 && statistics.iter().any(|one| one.key == Key::Record) {
        let message = "`-s record` has columns of its own, so it can't share a CSV table";
        return Err(Failure::usage_hint(message, "ask for it alone and with one order, or use `-o ndjson`"));
    }
    Ok(Question::Statistics { statistics, top })
}

/// The format where `-o` names none.
fn default_format(args: &Args) -> &'static str {
    let has_places = args.geo.first().is_some_and(|path| path.as_os_str() != places::NONE);
    match args {
        Args { bidirectional: true, .. } | Args { guess_direction: true, .. } => "biline",
        _ if has_places && args.anonymize.is_none() && args.anonymize_with.is_none() => "gline",
        _ => "line",
    }
}

/// The format `-o` names: one of ours, else one of the configuration file.
fn chosen(text: &str, config: Option<&Path>) -> Result<Chosen, Failure> {
    let own = Chosen::parse(text)?;
    if let Some(own) = own.clone().filter(|_| config.is_none() && !config::is_named_by_environment()) {
        return Ok(own);
    }
    let Config { formats, name: file, .. } = Config::load(config)?;
    if let Some(name) = formats.keys().find(|name| output::words().any(|word| word == *name)) {
        let message = format!("`{file}` calls a format `{name}`, which there is already");
        return Err(Failure::usage_hint(message, "give it another name"));
    }
    if let Some(own) = own {
        return Ok(own);
    }
    let full = || text.strip_suffix('6').and_then(|name| formats.get(name));
    let found =
        formats.get(text).map(|format| (format, false)).or_else(|| full().map(|format| (format, true)));
    let Some((format, is_full)) = found else {
        return Err(Chosen::unknown(text, formats.keys().map(String::as_str).chain([PARQUET])));
    };
    let named = Chosen::parse(format)
        .and_then(|chosen| chosen.ok_or_else(|| Chosen::unknown(format, std::iter::empty())));
    let chosen = named.map_err(|failure| failure.of(&format!("format `{text}` of `{file}`")))?;
    Ok(Chosen { is_ipv6_full: chosen.is_ipv6_full || is_full, ..chosen })
}

/// When there are colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

fn colour(text: &str) -> Result<Colour, Failure> {
    match text {
        "auto" => Ok(Colour::Auto),
        "always" => Ok(Colour::Always),
        "never" => Ok(Colour::Never),
        _ => Err(Failure::usage_hint(format!("unknown `--color {text}`"), "one of auto, always, never")),
    }
}

fn anonymizer(args: &Args) -> Result<Option<Arc<Anonymizer>>, Failure> {
    let of_file = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|error| Failure::Failed {
            message: format!("can't read the key `{}`: {}", path.display(), reason(&error)),
            hint: None,
        })
    };
    let of_file = args.anonymize_with.as_ref().map(of_file).transpose()?;
    let Some(key) = args.anonymize.as_ref().or(of_file.as_ref()) else { return Ok(None) };
    let hint = "32 characters, or `0x` and 64 hexadecimal digits: `0x$(openssl rand -hex 32)`";
    let parsed = Anonymizer::parse(key.trim_end_matches('\n')).map(Arc::new);
    parsed.map(Some).ok_or_else(|| Failure::usage_hint("that is no key to anonymize with", hint))
}

fn is_json_summary(text: Option<&str>) -> Result<bool, Failure> {
    match text {
        None | Some("text") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(Failure::usage_hint(format!("unknown `--summary {other}`"), "one of text, json")),
    }
}

fn range_of(text: &str, env: Env) -> Result<TimeRange, Failure> {
    time_range::parse(text, env).map_err(|message| {
        Failure::usage_hint(
            format!("invalid window for `-t`: {message}"),
            "for example `2026/05/28.20:26:40-2026/05/28.21:00:00`, `2026/05/28`, `-1h` or `today`",
        )
    })
}

fn window_of(text: &str, env: Env) -> Result<Predicate, Failure> {
    let range = range_of(text, env)?;
    // A flow that ended before it began could lie "within" a range that does.
    let is_empty = range.last < range.start;
    let within = Predicate::Test(Test::Within { start: range.start.0, last: range.last.0 });
    Ok(if is_empty { Predicate::Constant(false) } else { within })
}

fn number(option: &str, text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| {
        let hint = if option == "-n" { "`-n 0` shows all" } else { "a whole number" };
        Failure::usage_hint(format!("`{text}` is not a number for `{option}`"), hint)
    })
}

/// The filter as typed: the last arguments joined by blanks, or a file.
fn filter_text(args: &Args) -> Result<String, Failure> {
    if let Some(path) = &args.filter_file {
        let failed = |reason: String| Failure::Failed {
            message: format!("can't read the filter `{}`: {reason}", path.display()),
            hint: None,
        };
        let length = fs::metadata(path).map_err(|error| failed(reason(&error)))?.len();
        if length > FILTER_BYTES_MAX as u64 {
            return Err(Failure::usage(format!(
                "filter `{}` has {length} bytes, more than {FILTER_BYTES_MAX}",
                path.display()
            )));
        }
        return fs::read_to_string(path).map_err(|error| failed(reason(&error)));
    }
    let words: Option<Vec<&str>> = args.filter.iter().map(|word| OsStr::to_str(word)).collect();
    words.map(|words| words.join(" ")).ok_or_else(|| Failure::usage("the filter is not valid UTF-8"))
}
