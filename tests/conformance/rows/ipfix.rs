//! IPFIX (RFC 7011).

use super::Level::{Engineering, May, Must, Should};
use super::Status::{Deviation, Met};
use super::{E, Level, M, MAY, Row, S, row};

const MUST_AND_FORMAT: &[Level] = &[Must, Engineering];
const MUST_AND_SHOULD: &[Level] = &[Must, Should];
const MUST_AND_MAY: &[Level] = &[Must, May];
const SHOULD_AND_MAY: &[Level] = &[Should, May];

pub(super) const ROWS: &[Row] = &[
    row(
        "IPX-1",
        "§3.1, §9.1",
        MUST_AND_FORMAT,
        "version 10; the length is that of the whole message; octets behind it are counted",
        Met,
    ),
    row("IPX-2", "§3.1", S, "a stream is one transport session and observation domain", Met),
    row("IPX-3", "§3.1", E, "the sequence number counts data records of a stream, modulo 2³²", Met),
    row("IPX-4", "§3.2", M, "the enterprise bit, and nothing else, announces an enterprise number", Met),
    row("IPX-5", "§3.3.1, §9.1", M, "padding is shorter than any record and need not be zero", Met),
    row("IPX-6", "§3.3.2", M, "the length of a set, not its content, finds the next", Met),
    row("IPX-7", "§3.3.2", E, "sets 0, 1 and 4 to 255 are stepped over and counted", Met),
    row("IPX-8", "§3.4.1, §3.4.2.2", M, "neither value nor order of template ids says anything", Met),
    row(
        "IPX-9",
        "§3.4.2.1",
        S,
        "scopes: domain, processes, template, line card, exporter address, interface",
        Met,
    ),
    row("IPX-10", "§3.4.2.2", M, "an options template without scope is rejected", Met),
    row("IPX-11", "§4", M, "the options templates of the standard are recognised by their elements", Met),
    row("IPX-12", "§4.1–§4.3", E, "what the exporter says it lost is told", Met),
    row("IPX-13", "§4.4", E, "options about flow keys are accepted", Met),
    row("IPX-14", "§5.2", S, "times of 32 bits belong to the era of today", Met),
    row("IPX-15", "§6.1.5", E, "booleans are 1 or 2; anything else is no value", Met),
    row("IPX-16", "§6.1.6", S, "ill-formed UTF-8 is no text", Met),
    row("IPX-17", "§6.1.9", M, "the low 11 bits of a time in microseconds are ignored", Met),
    row("IPX-18", "§6.2", E, "integers may be shorter, with their sign, and float64 may have 4 octets", Met),
    row("IPX-19", "§6.2", M, "nothing else may be shorter than its type", Met),
    row("IPX-20", "§7", M, "both forms of a variable length, for any length; a value ends with its set", Met),
    row("IPX-21", "§8", M, "a template holds until its id is used again or its session ends", Met),
    row("IPX-22", "§8", M, "a template is never used in a later session", Met),
    row("IPX-23", "§8", M, "a template may repeat an element; the order is kept", Met),
    row("IPX-24", "§8", M, "data and template need not share a message", Met),
    row("IPX-25", "§8", MAY, "data without template wait, bounded by octets and age", Met),
    row("IPX-26", "§8", M, "one template id may mean different templates in different domains", Met),
    row("IPX-27", "§8.1", M, "TCP: a template withdrawn is used no more", Met),
    row("IPX-28", "§8.1", MUST_AND_SHOULD, "a withdrawal of an unknown template is ignored and logged", Met),
    row(
        "IPX-29",
        "§8.1",
        M,
        "a template of no fields is a withdrawal, of id 2 or 3 of all, never a template",
        Met,
    ),
    row("IPX-30", "§8.1", S, "TCP: a template defined twice is logged", Met),
    row(
        "IPX-31",
        "§8.2",
        MAY,
        "the export time orders what is done with templates",
        Deviation("the order of arrival does: the clock of an exporter may be set back at any time"),
    ),
    row("IPX-32", "§8.4", M, "UDP: withdrawals are ignored", Met),
    row(
        "IPX-33",
        "§8.4",
        SHOULD_AND_MAY,
        "UDP: templates expire, after a time that can be set or follows their refresh",
        Met,
    ),
    row("IPX-34", "§8.4", S, "UDP: a template sent again unchanged is not logged", Met),
    row("IPX-35", "§8.4", M, "UDP: a different definition replaces the template", Met),
    row(
        "IPX-36",
        "§8.4",
        S,
        "UDP: kept of a template: session, domain, id, definition, when it last came",
        Met,
    ),
    row("IPX-37", "§9, §10.4.4", M, "connections are listened for, also after one that failed", Met),
    row("IPX-38", "§9", MUST_AND_MAY, "the numbers of unknown elements are noted", Met),
    row("IPX-39", "§9", M, "records of data and templates may be padded", Met),
    row(
        "IPX-40",
        "§9, §10.3.2, §11.6",
        MUST_AND_SHOULD,
        "sequence numbers are followed: loss, reordering and duplicates are reported",
        Met,
    ),
    row("IPX-41", "§9.1", MUST_AND_SHOULD, "a malformed message is discarded whole, and logged", Met),
    row(
        "IPX-42",
        "§9.1",
        S,
        "an exporter that sends nothing but malformed messages is left alone",
        Deviation(
            "over UDP anyone may forge an exporter's address, and silencing it would lose what it sends; looking at a \
             malformed message costs no more than its length",
        ),
    ),
    row(
        "IPX-43",
        "§9.3",
        MAY,
        "what is known of a silent session is dropped after a time that can be set",
        Met,
    ),
    row("IPX-44", "§9.3", S, "data without template are not malformed", Met),
    row("IPX-45", "§10", M, "messages have up to 65,535 octets", Met),
    row("IPX-46", "§10", M, "nothing moves from one transport of an exporter to another", Met),
    row("IPX-47", "§10.1", M, "ports can be set; 4739 by default, 4740 with TLS", Met),
    row(
        "IPX-48",
        "§10.1",
        M,
        "SCTP",
        Deviation("not offered: it needs a kernel module that many systems lack"),
    ),
    row("IPX-49", "§10.4.4", S, "closing, it reads until the peer has closed", Met),
    row("IPX-50", "§11.1", M, "TLS over TCP, of no old version", Met),
    row(
        "IPX-51",
        "§11.1",
        M,
        "DTLS over UDP",
        Deviation(
            "not offered: rustls has none, others are not audited; use WireGuard, IPsec or an own network",
        ),
    ),
    row("IPX-52", "§11.3", M, "both ends prove who they are, and strangers are refused", Met),
    row(
        "IPX-53",
        "§11.3",
        M,
        "peers are named by the common name of their certificate",
        Deviation(
            "by its subject alternative names, host names and addresses, as everywhere else today; see IPX-52",
        ),
    ),
    row("IPX-54", "§11.4", S, "connections and handshakes are limited, and limits can be set", Met),
    row("IPX-55", "§11.6", S, "failed authentication, strangers and resets are logged", Met),
    row("IPX-56", "§11.7", E, "lengths of message, sets and values must agree", Met),
];
