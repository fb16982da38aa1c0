//! How long a template holds: until it stops coming again, or its exporter starts
//! anew (RFC 3954 §9, RFC 7011 §8.4).
//!
//! Expiry costs no data: what has no valid template waits for it.

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::decode::MessageContext;

/// How long what is remembered of exporters holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Templates that came last longer ago, seconds; `None` follows their refresh.
    pub template_secs: Option<i64>,
    /// Sessions that have been silent for longer are forgotten, seconds; `None` never.
    pub session_idle_secs: Option<i64>,
}

/// What the header of a message says of its sender's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) received_at: Timestamp,
    pub(crate) export: Timestamp,
    /// v9 only.
    pub(crate) uptime_ms: Option<u32>,
    pub(crate) sequence: u32,
}

impl Header {
    pub(crate) fn of(context: &MessageContext) -> Self {
        let (export, uptime_ms) = (context.time.export, context.time.uptime_ms);
        Self { received_at: context.received_at, export, uptime_ms, sequence: context.sequence }
    }

    /// When its sender started; v9 only.
    fn boot(self) -> Option<Timestamp> {
        Some(Timestamp(self.export.0 - i64::from(self.uptime_ms?) * 1_000))
    }

    /// Whether its sender started anew after it had sent `earlier`: it has come up
    /// since, and its sequence numbers begin again. An uptime that wraps leaves the
    /// numbers as they are, a message out of order the start.
    fn is_restart_after(self, earlier: Self) -> bool {
        let is_later = self.boot().is_some_and(|boot| boot.secs() > earlier.export.secs() + 1);
        is_later && self.sequence.wrapping_sub(earlier.sequence).cast_signed() < 0
    }
}

/// When a template came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipts {
    /// The message that brought it last.
    pub(crate) last: Header,
    /// Its number in its session.
    pub(crate) last_message: u64,
    /// How often it came again.
    pub(crate) n_refreshes: u32,
    /// Longest time between two, seconds.
    pub(crate) longest_secs: i64,
    /// Most messages between two.
    pub(crate) longest_messages: u64,
}

/// Refreshes by which an interval is known.
const REFRESHES_MIN: u32 = 2;
/// A template is over after so many of its intervals (RFC 7011 §8.4 asks for three).
const INTERVALS: i64 = 3;

impl Receipts {
    pub(crate) fn new(last: Header, last_message: u64) -> Self {
        Self { last, last_message, n_refreshes: 0, longest_secs: 0, longest_messages: 0 }
    }

    /// It came again.
    pub(crate) fn again(&mut self, header: Header, n_messages: u64) {
        let secs = header.received_at.secs().saturating_sub(self.last.received_at.secs());
        self.longest_secs = self.longest_secs.max(secs);
        self.longest_messages = self.longest_messages.max(n_messages.saturating_sub(self.last_message));
        self.n_refreshes = self.n_refreshes.saturating_add(1);
        (self.last, self.last_message) = (header, n_messages);
    }

    /// Whether the template does not hold for data of a message, the session's
    /// `n_messages`th. Exporters refresh by time or by messages sent: both must have
    /// passed three times over, so that a quiet night expires nothing.
    pub(crate) fn is_over(&self, header: Header, n_messages: u64, lifetimes: Lifetimes) -> bool {
        if header.is_restart_after(self.last) || self.last.is_restart_after(header) {
            return true;
        }
        let age_secs = header.received_at.secs().saturating_sub(self.last.received_at.secs());
        if let Some(lifetime_secs) = lifetimes.template_secs {
            return age_secs > lifetime_secs;
        }
        let age_messages = n_messages.saturating_sub(self.last_message);
        self.n_refreshes >= REFRESHES_MIN
            && age_secs > limits::TEMPLATE_LIFETIME_SECS_MIN
            && age_secs > self.longest_secs.saturating_mul(INTERVALS)
            && age_messages > self.longest_messages.saturating_mul(INTERVALS.unsigned_abs())
    }

    /// Whether a message comes from the exporter that sent the template, up ever since.
    pub(crate) fn is_same_boot(&self, header: Header) -> bool {
        let boots = self.last.boot().zip(header.boot());
        boots.is_some_and(|(a, b)| a.secs().abs_diff(b.secs()) <= limits::BOOT_SECS_TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(secs: i64, uptime_secs: u32, sequence: u32) -> Header {
        let at = Timestamp::from_secs(1_000_000 + secs);
        Header { received_at: at, export: at, uptime_ms: Some(uptime_secs * 1_000), sequence }
    }

    #[test]
    fn a_restart_needs_a_new_start_and_new_numbers() {
        let check = |secs, uptime_secs, sequence, expected: bool| {
            let template = Receipts::new(header(0, 500, 1_000), 0);
            let data = header(secs, uptime_secs, sequence);
            assert_eq!(template.is_over(data, 1, Lifetimes::default()), expected, "{data:?}");
        };
        check(10, 510, 1_010, false);
        check(10, 2, 3, true);
        // The uptime wrapped: numbers go on.
        check(10, 2, 1_010, false);
        // Out of order.
        check(0, 499, 998, false);
        // Sent before the exporter started that sent the template.
        check(-600, 900, 5_000, true);
        // Numbers alone prove nothing.
        check(10, 510, 3, false);
    }

    #[test]
    fn templates_expire_after_three_intervals_of_time_and_of_messages() {
        let at = |secs| header(secs, 500 + secs as u32, 1_000 + secs as u32);
        let mut template = Receipts::new(at(0), 0);
        template.again(at(600), 100);
        let check = |template: &Receipts, secs, n_messages, lifetimes, expected: bool| {
            assert_eq!(template.is_over(at(secs), n_messages, lifetimes), expected, "{secs} {n_messages}");
        };
        let derived = Lifetimes::default();
        check(&template, 100_000, 100_000, derived, false);
        template.again(at(1_200), 200);
        check(&template, 1_200 + 1_800, 1_000, derived, false);
        check(&template, 1_200 + 1_801, 501, derived, true);
        check(&template, 1_200 + 1_801, 500, derived, false);
        let set = Lifetimes { template_secs: Some(60), ..derived };
        check(&template, 1_260, 201, set, false);
        check(&template, 1_261, 201, set, true);
    }
}
