//! A command for each file that becomes visible (`-x`).
//!
//! Files come through a bounded channel, so nothing that publishes them ever waits. No
//! shell sees a command: it is split into words before tokens are replaced.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use flow_common::layout::Slot;
use flow_common::limits;
use flow_common::usage::neutral;

use crate::metrics::Metrics;
use crate::trees::place;

/// How long the end of a running command may go unnoticed.
const LOOK: Duration = Duration::from_millis(20);

/// What may stand for something in a command; nfcapd's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Root,
    File,
    Time,
    UnixTime,
    Ident,
    Percent,
}

const TOKENS: [(char, Token); 6] = [
    ('d', Token::Root),
    ('f', Token::File),
    ('t', Token::Time),
    ('u', Token::UnixTime),
    ('i', Token::Ident),
    ('%', Token::Percent),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Token(Token),
}

/// A command as it was given: the program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTemplate(Vec<Vec<Piece>>);

/// What is wrong with a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("a command needs a program")]
    Empty,
    #[error("a quotation mark is not closed in `{0}`")]
    Quotes(String),
    #[error("`%{0}` stands for nothing")]
    Unknown(String),
}

impl CommandTemplate {
    /// Splits a command at its blanks, but not between quotation marks.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let words = shell_words::split(text).map_err(|_| TemplateError::Quotes(text.to_owned()))?;
        let words = words.iter().map(|word| pieces(word)).collect::<Result<Vec<_>, _>>()?;
        if words.first().is_none_or(Vec::is_empty) { Err(TemplateError::Empty) } else { Ok(Self(words)) }
    }

    /// The words for one file. What replaces a token never becomes more words.
    fn words(&self, file: &Published) -> Vec<OsString> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.into(),
            Piece::Token(token) => file.value(*token),
        };
        self.0.iter().map(|word| word.iter().map(text).collect()).collect()
    }
}

impl fmt::Display for CommandTemplate {
    /// A text that is parsed to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Token(token) => {
                let letter =
                    TOKENS.iter().find(|(_, known)| known == token).map_or('%', |(letter, _)| *letter);
                format!("%{letter}")
            }
        };
        let words = self.0.iter().map(|word| word.iter().map(text).collect::<String>());
        f.write_str(&shell_words::join(words))
    }
}

fn pieces(word: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some((text, token)) = rest.split_once('%') {
        let letter = token.chars().next();
        let known = TOKENS.into_iter().find(|&(known, _)| Some(known) == letter);
        let Some((letter, found)) = known else {
            return Err(TemplateError::Unknown(letter.map(String::from).unwrap_or_default()));
        };
        pieces.extend([Piece::Text(text.to_owned()), Piece::Token(found)]);
        rest = &token[letter.len_utf8()..];
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

/// A file of flow records that has become visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// Root of its tree.
    pub(crate) root: PathBuf,
    /// Its path, root included.
    pub(crate) path: PathBuf,
    pub(crate) slot: Slot,
    /// Name of its tree.
    pub(crate) ident: String,
}

impl Published {
    fn value(&self, token: Token) -> OsString {
        match token {
            Token::Root => place(&self.root).into(),
            Token::File => self.path.strip_prefix(&self.root).unwrap_or(&self.path).into(),
            Token::Time => self.slot.stamp().into(),
            Token::UnixTime => self.slot.start_secs.to_string().into(),
            Token::Ident => self.ident.clone().into(),
            Token::Percent => "%".into(),
        }
    }
}

/// Whom files are told to that became visible.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hooks {
    exec: Option<(SyncSender<Published>, Arc<Metrics>)>,
}

impl Hooks {
    /// Tells of a file; never waits.
    pub(crate) fn published(&self, file: Published) {
        let Some((sender, metrics)) = &self.exec else { return };
        metrics.commands_waiting.add(1);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(file) {
            metrics.commands_waiting.subtract(1);
            metrics.commands_skipped.add(1);
        }
    }
}

/// The thread that runs commands.
#[derive(Debug)]
pub(crate) struct Exec {
    template: CommandTemplate,
    running_max: usize,
    files: Receiver<Published>,
    metrics: Arc<Metrics>,
    running: Vec<(String, Child)>,
    /// No line is logged before this.
    quiet_until: Option<Instant>,
    n_suppressed: u64,
}

/// A hook for those that publish, and the thread behind it, to be run.
pub(crate) fn exec(template: CommandTemplate, running_max: usize, metrics: Arc<Metrics>) -> (Hooks, Exec) {
    let (sender, files) = sync_channel(limits::COMMANDS_WAITING_MAX);
    let hooks = Hooks { exec: Some((sender, Arc::clone(&metrics))) };
    let running = Vec::new();
    (hooks, Exec { template, running_max, files, metrics, running, quiet_until: None, n_suppressed: 0 })
}

impl Exec {
    /// Runs commands until nobody publishes any more and all have ended.
    pub(crate) fn run(mut self) {
        let mut is_open = true;
        let mut n_skipped = 0;
        while is_open || !self.running.is_empty() {
            self.reap();
            self.tell_skipped(&mut n_skipped);
            if self.running.len() >= self.running_max || !is_open {
                std::thread::sleep(LOOK);
                continue;
            }
            let next = match self.running.is_empty() {
                true => self.files.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => self.files.recv_timeout(LOOK),
            };
            match next {
                Ok(file) => self.start(&file),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
        }
    }

    fn start(&mut self, file: &Published) {
        let words = self.template.words(file);
        match spawn(&words) {
            Ok(child) => self.running.push((shown(&words), child)),
            Err(error) => self.failed(&shown(&words), &error),
        }
    }

    /// Takes note of commands that have ended.
    fn reap(&mut self) {
        let mut index = 0;
        while let Some((words, child)) = self.running.get_mut(index) {
            let failure: &dyn fmt::Display = match child.try_wait() {
                Ok(None) => {
                    index += 1;
                    continue;
                }
                Ok(Some(status)) if status.success() => {
                    self.metrics.commands_done.add(1);
                    self.metrics.commands_waiting.subtract(1);
                    self.running.swap_remove(index);
                    continue;
                }
                Ok(Some(status)) => &status.to_string(),
                Err(error) => &error.to_string(),
            };
            let words = std::mem::take(words);
            self.running.swap_remove(index);
            self.failed(&words, failure);
        }
    }

    fn failed(&mut self, words: &str, failure: &dyn fmt::Display) {
        self.metrics.commands_failed.add(1);
        self.metrics.commands_waiting.subtract(1);
        self.warn(&format!("`{words}` failed: {failure}"));
    }

    /// Says that commands were skipped, once there is a new reason to.
    fn tell_skipped(&mut self, n_told: &mut u64) {
        let n_skipped = self.metrics.commands_skipped.get();
        if n_skipped > *n_told {
            self.warn(&format!("{} files got no command: those before take too long", n_skipped - *n_told));
            *n_told = n_skipped;
        }
    }

    /// At most one line a minute.
    fn warn(&mut self, line: &str) {
        let now = Instant::now();
        if self.quiet_until.is_some_and(|until| now < until) {
            self.n_suppressed += 1;
            return;
        }
        match std::mem::take(&mut self.n_suppressed) {
            0 => tracing::warn!("{line}"),
            n => tracing::warn!("{line} (and {n} more before)"),
        }
        let interval = Duration::from_secs(limits::LOG_INTERVAL_SECS.unsigned_abs());
        self.quiet_until = now.checked_add(interval);
    }
}

/// The words as one would type them.
fn shown(words: &[OsString]) -> String {
    neutral(&shell_words::join(words.iter().map(|word| word.to_string_lossy())))
}

/// Starts a command that shares nothing with this process but where messages go: all
/// other descriptors are closed on exec, and a signal of the terminal is not for it.
fn spawn(words: &[OsString]) -> io::Result<Child> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let stderr = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let mut command = Command::new(program);
    // What systemd told this process is not for others.
    for variable in
        ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
    {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(stderr()?).stderr(stderr()?).process_group(0).spawn()
}

#[cfg(test)]
mod tests {
    use flow_common::time::Timestamp;

    use super::*;

    fn file(ident: &str) -> Published {
        Published {
            root: "/var/flows".into(),
            path: "/var/flows/date=2026-11-21/hour=12/flowcap.202611211230.1.parquet".into(),
            slot: Slot::around(Timestamp::from_secs(1_795_264_200), 300),
            ident: ident.to_owned(),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let words = CommandTemplate::parse(text).map(|template| template.words(&file("a b; rm -rf %d")));
        let expected = expected.map(|words| words.iter().map(OsString::from).collect());
        assert_eq!(words.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn tokens_are_replaced_within_their_word() {
        check(
            "load %d/%f",
            Ok(&["load", "/var/flows/date=2026-11-21/hour=12/flowcap.202611211230.1.parquet"]),
        );
        check("x  --time=%t,%u '%% %%'", Ok(&["x", "--time=202611211230,1795264200", "% %"]));
        check("x %i", Ok(&["x", "a b; rm -rf %d"]));
        check(r#"sh -c 'echo "$1" | cat' - %%d"#, Ok(&["sh", "-c", r#"echo "$1" | cat"#, "-", "%d"]));
        check("x ''", Ok(&["x", ""]));
        check("", Err("a command needs a program"));
        check("  ", Err("a command needs a program"));
        check("'' x", Err("a command needs a program"));
        check("x 'y", Err("a quotation mark is not closed in `x 'y`"));
        check("x %q", Err("`%q` stands for nothing"));
        check("x 100%", Err("`%` stands for nothing"));
    }

    fn run(command: &str, running_max: usize, n_files: usize) -> Arc<Metrics> {
        let metrics = Arc::new(Metrics::default());
        let template = CommandTemplate::parse(command).unwrap();
        let (hooks, thread) = exec(template, running_max, Arc::clone(&metrics));
        std::thread::scope(|scope| {
            scope.spawn(|| thread.run());
            (0..n_files).for_each(|n| hooks.published(file(&n.to_string())));
            drop(hooks);
        });
        assert_eq!(metrics.commands_waiting.get(), 0);
        metrics
    }

    #[test]
    fn commands_run_one_after_the_other_and_failures_count() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        // Each writes its number twice; one beside another would come between.
        let script = r#"echo $1 >> $0; sleep 0.02; echo $1 >> $0; test $1 != 3"#;
        let metrics = run(&format!("sh -c '{script}' {} %i", out.display()), 1, 5);
        assert_eq!(std::fs::read_to_string(out).unwrap(), "0\n0\n1\n1\n2\n2\n3\n3\n4\n4\n");
        assert_eq!((metrics.commands_done.get(), metrics.commands_failed.get()), (4, 1));
        let metrics = run("/no/such/program", 3, 2);
        assert_eq!((metrics.commands_done.get(), metrics.commands_failed.get()), (0, 2));
    }

    #[test]
    fn so_many_run_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        // Each ends when the other has begun.
        let script = r#"touch $0/$1; while test $(ls $0 | wc -l) -lt 2; do sleep 0.01; done"#;
        let metrics = run(&format!("timeout 60 sh -c '{script}' {root} %i"), 2, 2);
        assert_eq!((metrics.commands_done.get(), metrics.commands_failed.get()), (2, 0));
    }

    #[test]
    fn who_publishes_never_waits() {
        let directory = tempfile::tempdir().unwrap();
        let go = directory.path().join("go");
        let metrics = Arc::new(Metrics::default());
        let command = format!("timeout 60 sh -c 'while ! test -e $0; do sleep 0.01; done' {}", go.display());
        let (hooks, thread) = exec(CommandTemplate::parse(&command).unwrap(), 1, Arc::clone(&metrics));
        let n_files = limits::COMMANDS_WAITING_MAX + 10;
        std::thread::scope(|scope| {
            (0..n_files).for_each(|_| hooks.published(file("x")));
            assert_eq!(metrics.commands_skipped.get(), 10);
            assert_eq!(metrics.commands_waiting.get() as usize, limits::COMMANDS_WAITING_MAX);
            let Exec { files, .. } = &thread;
            // The rest is not worth a process each.
            (1..limits::COMMANDS_WAITING_MAX).for_each(|_| {
                files.recv().unwrap();
                metrics.commands_waiting.subtract(1);
            });
            drop(hooks);
            scope.spawn(|| thread.run());
            std::fs::write(&go, "").unwrap();
        });
        assert_eq!((metrics.commands_done.get(), metrics.commands_waiting.get()), (1, 0));
    }
}
