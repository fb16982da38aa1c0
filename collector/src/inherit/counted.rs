//! What the kernel dropped on sockets that outlive a run, up to where it has been
//! counted: the next run counts on from there, so nothing dropped between two runs goes
//! unseen, and nothing is counted twice. A power loss takes the sockets too, so the
//! file is not synced; one that can't be read counts as none.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use flow_common::limits::COUNTED_BYTES_MAX;

use crate::socket::Listener;

/// Name of the file, below the state directory.
pub(crate) const SOCKETS: &str = "sockets";

/// Drops counted, by the cookie that the kernel gives a socket.
type Drops = BTreeMap<u64, u32>;

/// Drops counted on the sockets of this run that outlive it.
#[derive(Debug)]
pub(crate) struct Counted {
    path: PathBuf,
    drops: Mutex<Drops>,
    saved: Mutex<Drops>,
}

impl Counted {
    /// Lets listeners count on from where an earlier run got to.
    pub(crate) fn restore(path: PathBuf, listeners: &mut [Listener]) -> Self {
        let is_sound = fs::metadata(&path).is_ok_and(|file| file.len() <= COUNTED_BYTES_MAX);
        let text = if is_sound { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let earlier = parse(&text);
        for listener in listeners.iter_mut() {
            let Some((cookie, now)) = listener.outliving() else { continue };
            let counted = earlier.get(&cookie).copied();
            // The counter wraps; one that went back is another socket's, of before a reboot.
            match counted.filter(|counted| now.wrapping_sub(*counted) <= u32::MAX / 2) {
                Some(counted) => listener.count_from(counted),
                None if now > 0 => {
                    let addr = listener.addr();
                    tracing::info!("the kernel dropped {now} datagrams on {addr} before anyone counted them");
                }
                None => {}
            }
        }
        let counted = Self { path, drops: Mutex::default(), saved: Mutex::default() };
        counted.note(listeners);
        counted
    }

    /// What the listeners have counted by now.
    pub(crate) fn note(&self, listeners: &[Listener]) {
        if let Ok(mut drops) = self.drops.lock() {
            drops.extend(listeners.iter().filter_map(Listener::outliving));
        }
    }

    /// Writes down what is new.
    pub(crate) fn save(&self) {
        let Ok(drops) = self.drops.lock().map(|drops| drops.clone()) else { return };
        let Ok(mut saved) = self.saved.lock() else { return };
        if drops == *saved {
            return;
        }
        let lines = drops.iter().map(|(cookie, n)| format!("{cookie} {n}\n"));
        match fs::write(&self.path, lines.collect::<String>()) {
            Ok(()) => *saved = drops,
            Err(error) => tracing::debug!("cannot write `{}`: {error}", self.path.display()),
        }
    }
}

fn parse(text: &str) -> Drops {
    let pair = |line: &str| {
        let (cookie, n) = line.split_once(' ')?;
        Some((cookie.parse().ok()?, n.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_torn_counts_as_none() {
        let check = |text: &str, expected: &[(u64, u32)]| {
            assert_eq!(parse(text), expected.iter().copied().collect());
        };
        check("", &[]);
        check("1 2\n3 4\n", &[(1, 2), (3, 4)]);
        check("1 2\n3", &[(1, 2)]);
        check("1 -2\nx\n18446744073709551615 4294967295\n", &[(u64::MAX, u32::MAX)]);
    }
}
