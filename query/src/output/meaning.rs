//! What numbers of some columns mean, in the words of nfdump.

use flow_common::column::ColumnId;

/// Short enough for a table.
pub(super) fn short(column: ColumnId, value: i64) -> Option<&'static str> {
    if column == ColumnId::FirewallExtEvent {
        return match value {
            1001 => Some("I-ACL"),
            1002 => Some("E-ACL"),
            1003 => Some("DENY"),
            1004 => Some("NOSYN"),
            _ => None,
        };
    }
    let names: &[&str] = match column {
        ColumnId::FirewallEvent => &["IGNORE", "CREATE", "DELETE", "DENIED", "ALERT", "UPDATE"],
        // RFC 8158 §4.3, in the order of its table.
        ColumnId::NatEvent => &[
            "INVALID", "ADD", "DELETE", "EXHAUST", "ADD44", "DEL44", "ADD64", "DEL64", "ADD44BIB",
            "DEL44BIB", "ADD64BIB", "DEL64BIB", "PEXHAUST", "QUOTAEXH", "ADDADDR", "DELADDR", "ADDPBLK",
            "DELPBLK", "THRESHLD",
        ],
        _ => &[],
    };
    name(names, value)
}

/// For a line of its own.
pub(super) fn long(column: ColumnId, value: i64) -> Option<&'static str> {
    let names: &[&str] = match column {
        ColumnId::Direction => &["ingress", "egress"],
        ColumnId::BiflowDirection => &["arbitrary", "initiator", "reverse initiator", "perimeter"],
        ColumnId::EndReason => {
            &["", "idle timeout", "active timeout", "end of Flow detected", "forced end", "lack of resources"]
        }
        ColumnId::FirewallEvent => return short(column, value),
        // RFC 8158 §4.3.
        ColumnId::NatEvent => &[
            "INVALID",
            "NAT translation create",
            "NAT translation delete",
            "NAT Addresses exhausted",
            "NAT44 session create",
            "NAT44 session delete",
            "NAT64 session create",
            "NAT64 session delete",
            "NAT44 BIB create",
            "NAT44 BIB delete",
            "NAT64 BIB create",
            "NAT64 BIB delete",
            "NAT ports exhausted",
            "Quota Exceeded",
            "Address binding create",
            "Address binding delete",
            "Port block allocation",
            "Port block de-allocation",
            "Threshold Reached",
        ],
        _ => &[],
    };
    name(names, value)
}

fn name(names: &[&'static str], value: i64) -> Option<&'static str> {
    names.get(usize::try_from(value).ok()?).copied().filter(|name| !name.is_empty())
}
