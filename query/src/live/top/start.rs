//! What was typed after `flowdump top`, and the loop between keys and screen.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use crossterm::event::{self, Event, KeyEventKind};
use flow_common::limits::{FILTER_BYTES_MAX, TOP_WINDOWS_SECS};
use flow_common::time::Clock;

use super::worker::{Order, Picture, Reading, Shared, work};
use super::{View, Wish, screen, terminal};
use crate::catalog::Source;
use crate::columns::{Columns, Discovery};
use crate::filter::Predicate;
use crate::interrupt;
use crate::live::follow::root;
use crate::message::{DONE, Failure, say};
use crate::request::meaning;
use crate::{Env, Zone};

/// Who talks most, now: a screen refreshed each second.
#[derive(Debug, Parser)]
#[command(
    name = "flowdump top",
    max_term_width = 100,
    override_usage = "flowdump top [OPTIONS] ['FILTER']",
    after_help = "\
Rates are by arrival: a flow counts whole in the second its record was received, however long it
lasted. Rows can be seen some 8 s after that, so the window ends where they do, as the screen says.

Keys: q quit, p pause, s and S next and previous statistic, o order, r reverse, w window,
/ edit the filter (Enter takes it, Esc leaves it as it was)
"
)]
pub(crate) struct Asked {
    /// Directory with everything below it [default: ./flows]
    #[arg(short = 'r', long, value_name = "DIR")]
    read: Option<PathBuf>,

    /// Statistics to begin with, as of `flowdump -s`: `srcip`, `dstport/bytes`; repeat for more
    #[arg(short = 's', long = "stat", value_name = "STAT[:p][/ORDER]")]
    stat: Vec<String>,

    /// Seconds to sum up: 10, 60 or 300 [default: 60]
    #[arg(short = 'w', long, value_name = "SECS")]
    window: Option<String>,

    /// Packets and bytes as exported, not multiplied by sampling rates
    #[arg(long = "no-scale")]
    no_scale: bool,

    /// Times in UTC instead of the local zone
    #[arg(long)]
    utc: bool,

    /// Which flows, for example 'proto tcp and dst port 443'
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

/// A screen waits so long for the picture a key asked for.
const ANSWER: Duration = Duration::from_millis(30);
/// The screen is drawn so often where nothing happens.
const REFRESH: Duration = Duration::from_secs(1);

/// Shows the screen until a key or a signal ends it.
pub(crate) fn top(asked: Asked, env: Env, clock: &dyn Clock, stderr: &mut dyn Write) -> Result<u8, Failure> {
    let env = if asked.utc { Env { zone: Zone::Utc, ..env } } else { env };
    let source = asked.read.clone().map_or(Source::Default, Source::Path);
    let filter = asked.filter.join(" ");
    let mut columns = Columns::default();
    let mut discovery = Discovery::new(&source, env.now);
    let (predicate, statistics) = meaning(&asked.stat, &filter, env, &mut columns, &mut discovery)?;
    let window = window(asked.window.as_deref())?;
    terminal::check()?;
    let root = root(&source)?;
    if let Some(order) = statistics.iter().flat_map(|one| &one.rankings).find(|one| one.order.is_out()) {
        let message = format!("`flowdump top` has no order `{}`", order.order.word());
        return Err(Failure::usage_hint(message, "it sums up what records count in their own direction"));
    }
    if let Some(statistic) = statistics.iter().find(|statistic| statistic.needs_places()) {
        let message = format!("`flowdump top` has no database of places, so no `{}`", statistic.word);
        return Err(Failure::usage_hint(message, "`flowdump -s` takes one with `-G`"));
    }
    let view = View::new(statistics, window, filter);
    let place = source_name(&root);
    let shared = &Shared::default();
    let (orders, received) = mpsc::channel();
    let mut top = Top {
        view,
        root,
        place,
        source,
        env,
        columns,
        predicate: Arc::new(predicate),
        asked,
        orders,
        shared,
    };
    let result = std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("top".into())
            .spawn_scoped(scope, move || work(&received, shared, clock));
        worker?;
        top.read();
        let result = terminal::with(|terminal| top.run(terminal, clock));
        // Ends the worker, at once.
        shared.wanted.store(0, Ordering::SeqCst);
        drop(top);
        result
    });
    let code = result.map_err(|error| Failure::Failed {
        message: format!("can't draw on the terminal: {}", crate::message::reason(&error)),
        hint: None,
    })?;
    let picture = shared.picture.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((error, n)) = &picture.error {
        say(stderr, "warning", &format!("{n} files could not be read; the last: {error}"));
    }
    Ok(code)
}

fn window(text: Option<&str>) -> Result<usize, Failure> {
    let Some(text) = text else { return Ok(1) };
    let is_it = |secs: &i64| text.trim_end_matches('s') == secs.to_string();
    TOP_WINDOWS_SECS.iter().position(is_it).ok_or_else(|| {
        Failure::usage_hint(format!("`{text}` is no window for `--window`"), "one of 10, 60, 300 seconds")
    })
}

fn source_name(root: &std::path::Path) -> String {
    crate::message::neutral(&root.display().to_string()).replace('\n', "?")
}

/// The loop between keys and screen.
struct Top<'a> {
    view: View,
    root: PathBuf,
    /// What is read, in words.
    place: String,
    source: Source,
    env: Env,
    columns: Columns,
    predicate: Arc<Predicate>,
    asked: Asked,
    orders: Sender<Order>,
    shared: &'a Shared,
}

impl Top<'_> {
    fn run(&mut self, terminal: &mut terminal::Screen, clock: &dyn Clock) -> io::Result<u8> {
        let mut picture = self.picture();
        let mut is_awaited = true;
        let mut next = Instant::now();
        loop {
            if let Some(code) = interrupt::exit_code() {
                return Ok(code);
            }
            let newest = self.picture();
            let is_new = newest.number != picture.number && !self.view.is_paused();
            if is_new {
                picture = newest;
                is_awaited = false;
            }
            if is_new || next <= Instant::now() {
                let now = clock.now();
                terminal.draw(|frame| {
                    let looked = screen::Looked {
                        view: &self.view,
                        picture: &picture,
                        place: &self.place,
                        now,
                        zone: self.env.zone,
                    };
                    screen::draw(frame, &looked);
                })?;
                next = Instant::now() + REFRESH;
            }
            let due = next.saturating_duration_since(Instant::now());
            if !event::poll(if is_awaited { ANSWER.min(due) } else { due })? {
                continue;
            }
            next = Instant::now();
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let was_paused = self.view.is_paused();
                    match self.view.key(key) {
                        Wish::Nothing => {}
                        Wish::Quit => return Ok(DONE),
                        Wish::Interrupt => return Ok(interrupt::CTRL_C),
                        Wish::Suspend => terminal::suspend(terminal)?,
                        Wish::Rank => {
                            self.rank();
                            is_awaited = was_paused || !self.view.is_paused();
                        }
                        Wish::Read => {
                            self.read();
                            is_awaited = true;
                        }
                        Wish::Filter(text) => is_awaited = self.filter(text),
                    }
                }
                Event::Paste(text) => self.view.paste(&text),
                _ => {}
            }
        }
    }

    fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.shared.picture.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has what is held ranked anew.
    fn rank(&self) {
        let ranking = (self.view.ranking(), self.view.window_secs());
        *self.shared.ranking.lock().unwrap_or_else(PoisonError::into_inner) = Some(ranking);
        // A worker that is gone shows by a screen that stands still.
        let _ = self.orders.send(Order::Rank);
    }

    /// Has files read anew.
    fn read(&self) {
        let reading = Reading {
            number: self.shared.wanted.fetch_add(1, Ordering::SeqCst) + 1,
            root: self.root.clone(),
            statistic: self.view.statistic().clone(),
            predicate: Arc::clone(&self.predicate),
            columns: self.columns.clone(),
            is_scaled: !self.asked.no_scale,
        };
        let ranking = (self.view.ranking(), self.view.window_secs());
        *self.shared.ranking.lock().unwrap_or_else(PoisonError::into_inner) = Some(ranking);
        let _ = self.orders.send(Order::Read(Box::new(reading)));
    }

    /// Takes a filter, or has the view say why it is none.
    fn filter(&mut self, text: String) -> bool {
        if text.len() > FILTER_BYTES_MAX {
            self.view.refuse("error: the filter is too long");
            return false;
        }
        let mut discovery = Discovery::new(&self.source, self.env.now);
        match meaning(&[], &text, self.env, &mut self.columns, &mut discovery) {
            Ok((predicate, _)) => {
                self.predicate = Arc::new(predicate);
                self.view.accept(text);
                self.read();
                true
            }
            Err(failure) => {
                let mut words = Vec::new();
                failure.report(&mut words);
                self.view.refuse(&String::from_utf8_lossy(&words));
                false
            }
        }
    }
}
