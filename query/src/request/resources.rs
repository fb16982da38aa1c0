//! Threads and memory a question may use.

use std::fs;

use flow_common::limits::{QUERY_MEMORY_BYTES_MIN, QUERY_MEMORY_PARTS, QUERY_THREADS_MAX};

use super::number;
use crate::cli::Args;
use crate::message::Failure;

pub(super) fn threads(args: &Args) -> Result<usize, Failure> {
    let Some(text) = &args.threads else {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from).min(QUERY_THREADS_MAX));
    };
    match number("--threads", text)? {
        n if (1..=QUERY_THREADS_MAX as u64).contains(&n) => Ok(n as usize),
        n => Err(Failure::usage(format!("`--threads {n}` is not between 1 and {QUERY_THREADS_MAX}"))),
    }
}

pub(super) fn memory_bytes(args: &Args) -> Result<usize, Failure> {
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
