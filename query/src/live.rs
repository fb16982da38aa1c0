//! Rows as they come: `--follow` prints them, `top` sums them up on a screen; and what a
//! terminal shows while a long question is answered.
//!
//! ```text
//! directories → watch → tail → follow
//!  what changed  what is new  └→ top
//! ```

mod directories;
mod follow;
mod progress;
mod rows;
mod tail;
mod top;
mod watch;

pub(crate) use self::follow::follow;
pub(crate) use self::progress::{Erasing, Progress};
pub(crate) use self::top::{Asked, top};

/// Leaves the terminal as it was, from whatever thread.
pub(crate) fn restore_terminal() {
    progress::erase();
    top::terminal::give_back();
}
