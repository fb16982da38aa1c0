//! The whole way from a capture to published files: user time and memory at most.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench whole -- FILE` does
//! what `flowcapd -f FILE` does, and says how much memory it took.

use std::path::PathBuf;
use std::sync::Arc;

use flow_collector::{Config, Source, SystemClock, start};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(capture) = arguments.next().map(PathBuf::from) else { return };
    let root = std::env::temp_dir().join(format!("flowcap-whole-{}", std::process::id()));
    let config = Config { source: Source::Capture(capture), root: root.clone(), ..Config::default() };
    let running = start(&config, Arc::new(SystemClock), None).expect("a capture and a place to write");
    let summary = running.wait();
    let bytes = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
    };
    println!(
        "{:?} at most, {}",
        bytes("VmHWM:"),
        summary.metrics.check_laws().map(|()| "laws hold").unwrap_or("laws broken")
    );
    let _ = std::fs::remove_dir_all(root);
}
