//! Why connections end, and the low-cardinality name each is counted under.

/// Why a connection ended, or was never taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum End {
    Closed,
    Unclosed,
    Torn,
    Reset,
    Tls,
    Version,
    Length,
    SlowMessage,
    Idle,
    Stopped,
    Handshake,
    SlowHandshake,
    NoCertificate,
    BadCertificate,
    NotAuthorised,
    NotAllowed,
    TooMany,
    TooManyOfAddress,
}

impl End {
    /// All of them, in order of their number: label, and what people are told.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 18] = [
        (Self::Closed, "closed", "closed by the peer"),
        (Self::Unclosed, "unclosed", "closed by the peer without the end of TLS"),
        (Self::Torn, "torn", "closed by the peer inside a message"),
        (Self::Reset, "reset", "reset"),
        (Self::Tls, "tls", "ended by an error of TLS"),
        (Self::Version, "version", "closed: what came is not IPFIX"),
        (Self::Length, "length", "closed: a message has an impossible length"),
        (Self::SlowMessage, "slow_message", "closed: a message took too long"),
        (Self::Idle, "idle", "closed: nothing came for too long"),
        (Self::Stopped, "stopped", "closed at the end of the program"),
        (Self::Handshake, "handshake", "refused: the TLS handshake failed"),
        (Self::SlowHandshake, "slow_handshake", "refused: the TLS handshake took too long"),
        (Self::NoCertificate, "no_certificate", "refused: it has no certificate"),
        (Self::BadCertificate, "bad_certificate", "refused: its certificate does not prove who it is"),
        (Self::NotAuthorised, "not_authorised", "refused: its certificate names nobody of `--tls-peer`"),
        (Self::NotAllowed, "not_allowed", "refused: its address is not one of `--allow`"),
        (Self::TooMany, "too_many", "refused: too many connections are open"),
        (Self::TooManyOfAddress, "too_many_of_address", "refused: its address has too many connections"),
    ];

    /// What people are told.
    pub(crate) const fn message(self) -> &'static str {
        Self::ALL[self as usize].2
    }

    /// Whether it is as it should be, and worth no warning.
    pub(crate) const fn is_orderly(self) -> bool {
        matches!(self, Self::Closed | Self::Unclosed | Self::Stopped | Self::Idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_the_number_of_their_reason() {
        for (index, (end, label, message)) in End::ALL.into_iter().enumerate() {
            assert_eq!((end as usize, end.message()), (index, message), "{label}");
        }
    }
}
