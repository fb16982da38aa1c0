//! What it ran on, and what else ran there.

use std::fs;
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::collector::Programs;

/// Clock ticks a second of `/proc/stat`.
const TICKS_PER_SEC: f64 = 100.0;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Machine, programs and settings, in a few lines.
pub fn describe(programs: &Programs) -> String {
    let cpu_info = read("/proc/cpuinfo");
    let models: Vec<_> = cpu_info.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("", |model| model.trim_start_matches(['\t', ' ', ':']));
    let memory = read("/proc/meminfo");
    let memory_kib =
        memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let nfcapd =
        Command::new(&programs.nfcapd).arg("-V").output().map(|output| output.stdout).unwrap_or_default();
    format!(
        "{} × {model}, {} MiB, Linux {}; socket buffers of {} octets asked of both, rmem_max {}\n\
         {}; {}",
        models.len(),
        memory_kib.unwrap_or(0) >> 10,
        read("/proc/sys/kernel/osrelease").trim(),
        programs.buffer_bytes,
        read("/proc/sys/net/core/rmem_max").trim(),
        String::from_utf8_lossy(&nfcapd).trim(),
        uptime(),
    )
}

/// The load averages.
pub fn uptime() -> String {
    format!(
        "load averages {}",
        read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
    )
}

/// Share of the processors that others took while runs were under way.
#[derive(Debug, Default)]
pub struct Load {
    shares: Vec<f64>,
}

/// The beginning of a run.
pub struct Watch {
    start: Instant,
    busy_secs: f64,
    own_secs: f64,
}

impl Load {
    pub fn begin(&self) -> Watch {
        Watch { start: Instant::now(), busy_secs: busy_secs(), own_secs: own_secs() }
    }

    /// Ends a run in which the collector took so much.
    pub fn end(&mut self, watch: Watch, collector_secs: f64) {
        let others = busy_secs() - watch.busy_secs - (own_secs() - watch.own_secs) - collector_secs;
        self.shares.push((others / watch.start.elapsed().as_secs_f64()).max(0.0));
    }

    pub fn describe(&self) -> String {
        let mean = self.shares.iter().sum::<f64>() / self.shares.len().max(1) as f64;
        let most = self.shares.iter().copied().fold(0.0, f64::max);
        format!(
            "{} runs; other programs and the kernel's threads took {:.0} % of one processor on average, {:.0} % at most",
            self.shares.len(),
            100.0 * mean,
            100.0 * most
        )
    }
}

/// Time all processors were busy, or taken by the host, seconds.
fn busy_secs() -> f64 {
    let stat = read("/proc/stat");
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait), irq, softirq, steal
    [0, 1, 2, 5, 6, 7].iter().filter_map(|&index| ticks.get(index)).sum::<f64>() / TICKS_PER_SEC
}

fn own_secs() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}
