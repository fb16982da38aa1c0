//! The terminal `top` takes over, and gives back whatever happens.

use std::any::Any;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use nix::sys::signal::{Signal, raise};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::message::Failure;

/// The screen that is drawn on.
pub(super) type Screen = Terminal<CrosstermBackend<File>>;

/// Whether the terminal is ours.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// What a panic said while it was.
static LAST_WORDS: Mutex<Option<String>> = Mutex::new(None);

/// Standard output without its lock: whoever ends the run must not wait for who draws.
fn output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// An error where there is no terminal to take over.
pub(super) fn check() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage_hint(
        "`top` needs a terminal to draw on and to read keys from",
        "`flowdump -s srcip/bytes -t -5m` answers once, `flowdump --follow` prints rows as they come",
    ))
}

fn take() -> io::Result<Screen> {
    IS_TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(output()?, EnterAlternateScreen, EnableBracketedPaste)?;
    let mut screen = Terminal::new(CrosstermBackend::new(output()?))?;
    screen.clear()?;
    Ok(screen)
}

/// Gives the terminal back, if it was taken.
pub(crate) fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // Where even that fails there is no terminal any more.
        if let Ok(mut output) = output() {
            let _ = execute!(output, DisableBracketedPaste, LeaveAlternateScreen, Show);
        }
        let _ = disable_raw_mode();
    }
}

/// Runs `draw` with the terminal taken over. A panic ends as any other, but its words
/// come when the terminal can show them.
pub(super) fn with<T>(draw: impl FnOnce(&mut Screen) -> io::Result<T>) -> io::Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(info.to_string());
    }));
    let result = catch_unwind(AssertUnwindSafe(|| draw(&mut take()?)));
    give_back();
    std::panic::set_hook(hook);
    result.unwrap_or_else(|panic| say_last_words(panic))
}

#[expect(clippy::print_stderr, reason = "what a panic says is for the terminal")]
fn say_last_words(panic: Box<dyn Any + Send>) -> ! {
    if let Some(words) = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).take() {
        eprintln!("{words}");
    }
    resume_unwind(panic)
}

/// Stops as Ctrl-Z does elsewhere, and goes on when told to.
pub(super) fn suspend(screen: &mut Screen) -> io::Result<()> {
    give_back();
    raise(Signal::SIGTSTP)?;
    *screen = take()?;
    Ok(())
}
