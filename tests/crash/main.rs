//! The collector as a process, killed and stopped at any instant, under load: what
//! it accepted is there once, and what is visible is whole.
//!
//! ```text
//! KILLS=1000 CRASH_RATE=200000 cargo test --release -p flow-tests --test crash kills -- --nocapture
//! SOAK_SECS=3600 cargo test --release -p flow-tests --test crash exporters_come -- --nocapture
//! ```
//!
//! - `collector`: the process, and what the kernel knows of it
//! - `exporters`: threads that send numbered records, and stop at a gate
//! - `serials`: which numbers are in the visible files
//! - `kills`: SIGKILL, SIGTERM and SIGSTOP at instants a seed repeats
//! - `churn`: exporters that come and go
//! - `soak`: an hour of them and short slots: memory, descriptors, losses; an end under load

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "a table of what came of it")]

mod churn;
mod collector;
mod exporters;
mod kills;
mod serials;
mod soak;

/// A number from the environment, for runs longer than the suite's.
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
