//! What was typed to what is meant. After this nothing can be a usage error.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::limits::{
    FILTER_BYTES_MAX, FOLLOW_SECS_MAX, QUERY_MEMORY_BYTES_MIN, QUERY_MEMORY_PARTS, QUERY_THREADS_MAX,
    TWO_PASSES_ROWS_MIN,
};
use flow_common::time::Timestamp;

use crate::aggregation::{self, Aggregation, Directions};
use crate::catalog::Source;
use crate::cli::Args;
use crate::columns::{Columns, Discovery};
use crate::filter::{self, Meaning, Predicate, Test};
use crate::message::{Failure, NameError, nearest, reason};
use crate::output::{Format, Layout, Style};
use crate::statistic::{Key, Ranking, Statistic};
use crate::surroundings::World;
use crate::time_range::{self, TimeRange};
use crate::{Env, Zone};

/// A question, complete and checked. A plain value: any engine may answer it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) source: Source,
    /// When it was asked.
    pub(crate) now: Timestamp,
    pub(crate) question: Question,
    /// Filter and window.
    pub(crate) predicate: Arc<Predicate>,
    /// Matching records after which to stop.
    pub(crate) limit: Option<u64>,
    /// Packets and bytes are multiplied by sampling rates, where known.
    pub(crate) is_scaled: bool,
    pub(crate) style: Style,
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
    /// The records themselves.
    Rows,
    /// The records in an order of their own, the first `top` of them; 0 is all.
    Sorted { orders: Vec<Ranking>, top: usize },
    /// Groups and their counters, the `top` of each; 0 is all.
    Statistics { statistics: Vec<Statistic>, top: usize },
    /// Groups by a key of several columns, the first `top` of them; 0 is all.
    Aggregate { aggregation: Aggregation, top: usize },
}

/// Rows of a statistic without `-n`.
const TOP_DEFAULT: usize = 10;

impl Request {
    /// What `args` mean at the time and in the zone of `env`.
    pub(crate) fn new(args: Box<Args>, env: Env) -> Result<Self, Failure> {
        let env = if args.utc { Env { zone: Zone::Utc, ..env } } else { env };
        let output = args.output.as_deref().unwrap_or("line");
        let layout = output.strip_prefix("fmt:").map(layout).transpose()?;
        let (format, is_full) = match layout {
            Some(_) => (Format::Custom, false),
            None => format(output)?,
        };
        let is_scaled = !args.no_scale;
        let style = Style {
            format,
            layout: Arc::new(layout.unwrap_or_default()),
            is_ipv6_full: args.ipv6 || is_full,
            is_plain: args.plain,
            is_quiet: args.quiet,
            zone: env.zone,
        };
        let text = filter_text(&args)?;
        let source = match (&args.read, &args.range) {
            (Some(path), _) => Source::Path(path.clone()),
            (None, Some(range)) => Source::Sequence(range.clone()),
            (None, None) => Source::Default,
        };
        let mut columns = Columns::default();
        let mut discovery = Discovery::new(&source, env.now);
        let directory = args.filter_file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut world = World::new(&source, env.now, directory.to_owned());
        let (Meaning { predicate, notes }, statistics) =
            noted_meaning(&args.stat, &text, env, &mut columns, &mut discovery, &mut world)?;
        let aggregation = aggregation(&args, &mut columns, &mut discovery)?;
        let since = if args.follow { Some(since(&args, format, env)?) } else { None };
        let predicate = match &args.time {
            Some(window) if since.is_none() => window_of(window, env)?.and(predicate),
            _ => predicate,
        };
        let limit = args.count.as_deref().map(|text| number("-c", text)).transpose()?;
        let question = question(&args, &text, (statistics, aggregation), format)?;
        if matches!(question, Question::Rows | Question::Sorted { .. }) && format == Format::Csv {
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
            limit,
            is_scaled,
            style,
            threads,
            memory_bytes,
            two_passes_from,
            is_decode_only: args.decode_only,
            columns,
            since,
            has_progress: !args.no_progress,
            notes,
            is_explained: args.explain,
        })
    }
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
    let mut world = World::new(source, now, PathBuf::new());
    let (meaning, statistics) = noted_meaning(stats, text, env, columns, discovery, &mut world)?;
    Ok((meaning.predicate, statistics))
}

/// As [`meaning`], with what there is to say about the filter.
fn noted_meaning(
    stats: &[String],
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

fn threads(args: &Args) -> Result<usize, Failure> {
    let Some(text) = &args.threads else {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from).min(QUERY_THREADS_MAX));
    };
    match number("--threads", text)? {
        n if (1..=QUERY_THREADS_MAX as u64).contains(&n) => Ok(n as usize),
        n => Err(Failure::usage(format!("`--threads {n}` is not between 1 and {QUERY_THREADS_MAX}"))),
    }
}

fn memory_bytes(args: &Args) -> Result<usize, Failure> {
    let Some(text) = &args.memory else {
        return Ok(usize::try_from(machine_memory_bytes() / QUERY_MEMORY_PARTS).unwrap_or(usize::MAX));
    };
    let bytes = size(text).ok_or_else(|| {
        Failure::usage_hint(format!("`{text}` is not a size for `--memory`"), "for example `512M` or `2G`")
    })?;
    if bytes < QUERY_MEMORY_BYTES_MIN {
        return Err(Failure::usage(format!(
            "`--memory {text}` is less than {QUERY_MEMORY_BYTES_MIN} octets"
        )));
    }
    Ok(bytes)
}

/// `512M`, `2G`, `100000`: powers of 1,024.
fn size(text: &str) -> Option<usize> {
    let text = text.strip_suffix(['B', 'b']).unwrap_or(text);
    let text = text.strip_suffix('i').unwrap_or(text);
    let (digits, shift) = match text.chars().last()?.to_ascii_lowercase() {
        'k' => (&text[..text.len() - 1], 10),
        'm' => (&text[..text.len() - 1], 20),
        'g' => (&text[..text.len() - 1], 30),
        't' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// Memory of the machine, or of the part of it that this process is allowed.
fn machine_memory_bytes() -> u64 {
    let first_number = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        text.split_whitespace().find_map(|word| word.parse::<u64>().ok())
    };
    let machine = first_number("/proc/meminfo").map_or(1 << 30, |kib| kib << 10);
    let allowed = first_number("/sys/fs/cgroup/memory.max").unwrap_or(u64::MAX);
    machine.min(allowed)
}

/// What `-a`, `-A`, `-b` or `-B` says, if there is one of them.
fn aggregation(
    args: &Args,
    columns: &mut Columns,
    discovery: &mut Discovery<'_>,
) -> Result<Option<Aggregation>, Failure> {
    let order = args.order.as_deref();
    let Some(keys) = &args.aggregate else {
        let directions = match args {
            Args { aggregate_flows: true, .. } => Directions::Apart,
            Args { bidirectional: true, .. } => Directions::Joined,
            Args { guess_direction: true, .. } => Directions::Guessed,
            _ => return Ok(None),
        };
        return Aggregation::five_tuple(order, directions).map(Some);
    };
    loop {
        match Aggregation::parse(keys, order, columns) {
            Ok(aggregation) => return Ok(Some(aggregation)),
            Err(error) if error.is_unknown_word && discovery.next(columns) => {}
            Err(error) => return Err(error.failure),
        }
    }
}

/// What depends on the names of columns: the filter and the statistics.
fn names(
    stats: &[String],
    text: &str,
    env: Env,
    columns: &Columns,
    world: &mut World<'_>,
) -> Result<(Meaning, Vec<Statistic>), NameError> {
    let meaning = filter::compile(text, env, columns, world).map_err(|error| NameError {
        is_unknown_word: error.is_unknown_word,
        failure: Failure::Filter(error.text),
    })?;
    let statistics = stats.iter().map(|text| Statistic::parse(text, columns));
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
        None if statistics.is_empty() => 0,
        None => TOP_DEFAULT,
    };
    let orders = aggregation::orders(args.order.as_deref())?;
    if args.order.is_some() && !statistics.is_empty() {
        let hint = "the order of a statistic follows its word: `-s srcip/bytes`";
        return Err(Failure::usage_hint("`-O` ranks records and the rows of `-a` and `-A`", hint));
    }
    if args.check {
        return Ok(Question::Check);
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

/// What stands behind `fmt:`.
fn layout(text: &str) -> Result<Layout, Failure> {
    Layout::parse(text).map_err(|(tag, likely)| {
        let hint = match likely {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "for example `-o 'fmt:%ts %sap -> %dap %pkt %byt %inam'`".to_owned(),
        };
        Failure::usage_hint(format!("unknown tag `{tag}` in `fmt:`"), hint)
    })
}

/// The format a word names, and whether it ends in the 6 that shows IPv6 in full.
fn format(word: &str) -> Result<(Format, bool), Failure> {
    let known = |word: &str| Format::ALL.into_iter().find(|format| format.word() == word);
    let stem = word.strip_suffix('6');
    if let Some(format) = known(word) {
        return Ok((format, false));
    }
    if let Some(format) = stem.and_then(known) {
        return Ok((format, true));
    }
    let words = Format::ALL.into_iter().map(Format::word);
    let hint = match nearest(&word.to_ascii_lowercase(), words.clone()) {
        Some(meant) => format!("did you mean `-o {meant}`?"),
        None => format!("one of {}", words.collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::usage_hint(format!("unknown output format `{word}`"), hint))
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
