//! When a record is due.

use std::time::Duration;

/// How fast flows are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// So many flows a second; 0 is as fast as the machine can.
    Flows(u64),
    /// As they were received, so many times as fast.
    Recorded(f64),
}

/// Tells how long after the start each record is due.
#[derive(Debug)]
pub(super) struct Clock {
    pace: Pace,
    sent: u64,
    first_received: Option<i64>,
}

impl Clock {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, sent: 0, first_received: None }
    }

    /// Time from the start to when the next record is due, which was received at `received`, µs.
    pub(super) fn next(&mut self, received: i64) -> Duration {
        let sent = self.sent;
        self.sent += 1;
        match self.pace {
            Pace::Flows(0) => Duration::ZERO,
            Pace::Flows(rate) => Duration::from_secs_f64(sent as f64 / rate as f64),
            Pace::Recorded(speed) => {
                let first = *self.first_received.get_or_insert(received);
                // What was received before the first is due at once.
                let micros = received.saturating_sub(first).max(0) as f64 / speed;
                Duration::try_from_secs_f64(micros / 1e6).unwrap_or(Duration::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_their_pace() {
        let check = |pace, received_secs: &[i64], expected_ms: &[u64]| {
            let mut clock = Clock::new(pace);
            let due = received_secs.iter().map(|secs| clock.next(secs * 1_000_000).as_millis() as u64);
            assert_eq!(due.collect::<Vec<_>>(), expected_ms, "{pace:?}");
        };
        check(Pace::Flows(0), &[5, 6, 7], &[0, 0, 0]);
        check(Pace::Flows(4), &[5, 5, 5], &[0, 250, 500]);
        check(Pace::Recorded(1.0), &[5, 6, 4, 15], &[0, 1_000, 0, 10_000]);
        check(Pace::Recorded(10.0), &[5, 6, 15], &[0, 100, 1_000]);
        check(Pace::Recorded(0.5), &[5, 6], &[0, 2_000]);
    }
}
