//! Why we differ from other decoders, as data: each difference was looked up in
//! the octets and the standards.

use crate::compare::How::{self, Ours, Theirs, Value};

/// A difference and its reason. `*` stands for anything.
pub(crate) struct Reason {
    pub(crate) oracle: &'static str,
    pub(crate) case: &'static str,
    /// `flow` or `option`, a space, and the field.
    pub(crate) field: &'static str,
    pub(crate) how: How,
    pub(crate) reason: &'static str,
}

const fn reason(
    oracle: &'static str,
    case: &'static str,
    field: &'static str,
    how: How,
    reason: &'static str,
) -> Reason {
    Reason { oracle, case, field, how, reason }
}

const FIRST_TEMPLATE: &str = "tshark keeps the first definition of a template id, here redefined; the new one counts (RFC 3954 §7, RFC 7011 §8.4)";
const WAITED: &str = "came before its template; we keep it until the template comes";
const OTHER_FAMILY: &str = "a zero address of the family the flow is not of: nothing";
const PORT_ICMP: &str = "NetFlow v5 has ICMP type and code in the ports; we give both columns";
const ICMP_PORTS: &str = "nfdump prints type and code of ICMP in place of the ports";
const SCALES: &str =
    "nfdump multiplies by the sampling rate; we store what was sent, with the rate beside it";
const V5_MASKS: &str = "nfdump drops the masks of NetFlow v5 and v7";
const IPV6: &str = "sent over IPv6, which `nfcapd -f` does not read";
const NO_MICROS: &str = "nfdump does not read elements 154 and 155";
const NO_WRAP: &str =
    "nfdump adds 21 and 22 to 160 without their wrap: a flow before its exporter's start is 2³² ms late";
const UNALIGNED: &str = "an options FlowSet of 22, 26 or 29 octets; tshark looks for the next one at a multiple of 4, not at its end";
const FLOWS: &str = "nfdump puts 1 where it has counters of both directions; the exporter sent no element 3";
const MALFORMED: &str =
    "the last record of the message overruns its set; the message is malformed (RFC 7011 §9.1)";
const TTL: &str = "nfdump shows element 192 (TTL of a packet) as smallest TTL; we keep it as 192";
const REPEATED: &str = "element twice in the template: the first is the outer header, nfdump takes the last";
const FAMILIES: &str =
    "the template has addresses of both families, one of them zero; nfdump 1.7.1 writes one over the other";
const OLD: &str = "nfdump 1.7.1 does not read this element in IPFIX";
const EXCHANGED: &str =
    "the template has the end (21) before the start (22); nfdump 1.7.1 takes one for the other";
const ASA_TIMES: &str = "nfdump sets first and last of an event to the time of the event (323)";
const SPLIT: &str =
    "type and code lie in the port; nfdump splits it for ICMP, we leave it the port it was sent as";
const NO_STATUS: &str = "nfdump's JSON has no forwarding status where it has ICMP type and code";
const LISTS: &str = "from a list inside the record (RFC 6313), which tshark shows whole";
const V7_SCALES: &str = "the header of NetFlow v7 has no sampling; nfdump multiplies by its reserved octets";
const SINCE_BOOT: &str = "it has milliseconds since boot as they were sent; we have times of day";
const SECOND: &str =
    "logstash takes a fraction from the next second, so is 1 s late, and 2³² ms where the uptime wrapped";
const SCOPE: &str = "scope type 1 (system, RFC 3954 §6.1) is taken for element 1 (octets) by telegraf";
const V1_LONG: &str = "27 records in a datagram, where NetFlow v1 allows 24; nfdump drops it";
const NO_TEXT: &str =
    "a text of zeros and other octets, made up; tshark ends it at its first zero, we at its last";
const H3C: &str =
    "element 43, an address, is 2 octets long here; tshark gives the FlowSet up, we keep the octets";

/// All of them. The first that fits counts.
pub(crate) const REASONS: &[Reason] = &[
    reason("manifest", "*/IPFIX_Netscaler_with_variable_length_fields_b8a7", "flow count", Value, WAITED),
    reason("manifest", "network-analytics*", "flow count", Value, WAITED),
    reason("manifest", "*/src_tests_dos_edge_cases_session", "flow count", Value, WAITED),
    reason("manifest", "calmh__ipfix/src_parser_test_session", "flow count", Value, MALFORMED),
    reason(
        "manifest",
        "*/src_tests_pending_flows_session",
        "flow count",
        Value,
        "NetFlow v9 redefines template 256 as 4 octets; the manifest reads IPFIX by it too, we and nfdump do not",
    ),
    reason("manifest", "live/softflowd_v1", "flow count", Value, V1_LONG),
    // tshark
    reason(
        "tshark",
        "*/Netflow_5_invalid_01_",
        "flow record",
        Theirs,
        "the header counts 30 records, the datagram ends in the midst of one; tshark reads what is there and more",
    ),
    reason("tshark", "bitkeks*", "*", Ours, FIRST_TEMPLATE),
    reason("tshark", "bitkeks*", "*", Theirs, FIRST_TEMPLATE),
    reason("tshark", "bitkeks*", "*", Value, FIRST_TEMPLATE),
    reason("tshark", "vmware__go-ipfix*", "flow *", Ours, FIRST_TEMPLATE),
    reason("tshark", "vmware__go-ipfix*", "flow *", Theirs, FIRST_TEMPLATE),
    reason("tshark", "*/src_tests_dos_edge_cases_session", "flow record", Ours, WAITED),
    reason("tshark", "*/src_tests_dos_edge_cases_session", "flow *", Theirs, FIRST_TEMPLATE),
    reason("tshark", "*/src_tests_dos_edge_cases_session", "flow *", Ours, FIRST_TEMPLATE),
    reason("tshark", "*/src_tests_pending_flows_session", "flow *", Ours, FIRST_TEMPLATE),
    reason("tshark", "*/src_tests_pending_flows_session", "flow *", Theirs, FIRST_TEMPLATE),
    reason("tshark", "*/src_tests_pending_flows_session", "flow *", Value, FIRST_TEMPLATE),
    reason("tshark", "live/softflowd_v9*", "*", Ours, UNALIGNED),
    reason("tshark", "live/softflowd_v9*", "*", Theirs, UNALIGNED),
    reason("tshark", "live/softflowd_v9*", "*", Value, UNALIGNED),
    reason("tshark", "calmh__ipfix/src_parser_test_session", "flow record", Theirs, MALFORMED),
    reason("tshark", "*/IPFIX_Netscaler_with_variable_length_fields_b8a7", "flow record", Ours, WAITED),
    reason("tshark", "network-analytics*", "flow record", Ours, WAITED),
    reason(
        "tshark",
        "live/softflowd_ipfix-micro",
        "flow flow_*",
        Value,
        "tshark cuts the fraction of 2⁻³² s off, we round it",
    ),
    reason("tshark", "*/Netflow_9_invalid_01_", "*record", Ours, UNALIGNED),
    reason("tshark", "*/Netflow_9_H3C", "flow *", Ours, H3C),
    reason("tshark", "*/Netflow_9_H3C", "flow *", Theirs, H3C),
    reason("tshark", "*/Netflow_9_H3C", "flow *", Value, H3C),
    reason("tshark", "*/Netflow_9_nprobe_DPI_L7", "flow application_name", Value, NO_TEXT),
    reason("tshark", "*/Netflow_9_nprobe_DPI_L7", "flow 57591", Value, NO_TEXT),
    reason("tshark", "*/Netflow_9_nprobe_DPI_L7", "flow ?_ws.expert", Theirs, NO_TEXT),
    reason("tshark", "*/ipfix_example", "flow *184", Ours, LISTS),
    reason("tshark", "*/ipfix_example", "flow 6871:*", Ours, LISTS),
    reason(
        "tshark",
        "nf7 *",
        "flow ?flags",
        Theirs,
        "which fields of the record are not valid; we do not keep it",
    ),
    reason("tshark", "nf1 *", "flow icmp_*", Ours, PORT_ICMP),
    reason("tshark", "nf5 *", "flow icmp_type", Ours, PORT_ICMP),
    reason("tshark", "nf5 *", "flow icmp_code", Ours, PORT_ICMP),
    reason("tshark", "*", "flow 8", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 12", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 15", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 18", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 27", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 28", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 62", Theirs, OTHER_FAMILY),
    reason("tshark", "*", "flow 63", Theirs, OTHER_FAMILY),
    // nfdump
    reason("nfdump*", "*", "flow record over IPv6", Ours, IPV6),
    reason("nfdump*", "network-analytics*", "flow record", Ours, WAITED),
    reason("nfdump", "*/IPFIX_Netscaler_with_variable_length_fields_b8a7", "flow record", Ours, WAITED),
    reason("nfdump", "*/src_tests_dos_edge_cases_session", "flow record", Ours, WAITED),
    reason("nfdump", "calmh__ipfix/src_parser_test_session", "flow record", Theirs, MALFORMED),
    reason(
        "nfdump",
        "calmh__ipfix/src_parser_test_session",
        "flow flow_*",
        Ours,
        "nfdump keeps no times of a record without packets and octets",
    ),
    reason("nfdump", "nf5 *", "flow packets", Value, SCALES),
    reason("nfdump", "nf5 *", "flow bytes", Value, SCALES),
    reason("nfdump", "*/Netflow_9_invalid_01_", "flow packets", Value, SCALES),
    reason("nfdump", "*/Netflow_9_invalid_01_", "flow bytes", Value, SCALES),
    reason("nfdump", "*-multi-sources", "flow packets", Value, SCALES),
    reason("nfdump", "*-multi-sources", "flow bytes", Value, SCALES),
    reason("nfdump", "live/softflowd_v9-sampled", "flow packets", Value, SCALES),
    reason("nfdump", "live/softflowd_v9-sampled", "flow bytes", Value, SCALES),
    reason("nfdump", "nf5 *", "flow src_mask", Ours, V5_MASKS),
    reason("nfdump", "nf5 *", "flow dst_mask", Ours, V5_MASKS),
    reason("nfdump", "*", "flow flows", Theirs, FLOWS),
    reason("nfdump", "CESNET*", "flow min_ttl", Theirs, TTL),
    reason("nfdump", "*/Netflow_9_Cisco_ASA", "flow flow_end", Theirs, ASA_TIMES),
    reason("nfdump", "*/Netflow_9_Cisco_ASA", "flow flow_start", Value, ASA_TIMES),
    reason(
        "nfdump",
        "*/Netflow_9_Cisco_ASA",
        "flow ingress_acl",
        Value,
        "nfdump prints the octets of each of the three ids in reverse",
    ),
    reason(
        "nfdump",
        "*/Netflow_9_Cisco_ASA",
        "flow icmp_*",
        Theirs,
        "nfdump takes the port, which is the ICMP id, for type and code; the record has 0 or 8 in 176",
    ),
    reason("nfdump", "nf7 *", "flow packets", Value, V7_SCALES),
    reason("nfdump", "nf7 *", "flow bytes", Value, V7_SCALES),
    reason("nfdump", "nf7 *", "flow src_mask", Ours, V5_MASKS),
    reason("nfdump", "nf7 *", "flow dst_mask", Ours, V5_MASKS),
    reason("nfdump 1.7.1", "nf1 *", "flow record", Ours, V1_LONG),
    reason("nfdump*", "*", "flow src_port", Ours, ICMP_PORTS),
    reason("nfdump*", "*", "flow dst_port", Ours, ICMP_PORTS),
    reason(
        "nfdump",
        "*/Netflow_9_Palo_Alto*",
        "flow event_time",
        Theirs,
        "nfdump takes the end of the flow for the time of the event; the exporter sent no 323",
    ),
    reason("nfdump", "*/Netflow_9_Palo_Alto*", "flow username", Ours, "nfdump does not know element 56702"),
    reason(
        "nfdump",
        "*/Netflow_9_nprobe_DPI_L7",
        "flow flow_*",
        Value,
        "nfdump subtracts the uptime from a time since 1970 that is less",
    ),
    reason(
        "nfdump",
        "*/IPFIX_Barracuda_firewall",
        "flow firewall_event",
        Ours,
        "nfdump does not read element 233 in IPFIX",
    ),
    reason("nfdump", "*/IPFIX_Netscaler_with_variable_length_fields", "flow flow_*", Ours, NO_MICROS),
    reason("nfdump", "live/softflowd_ipfix-micro", "flow flow_*", Ours, NO_MICROS),
    reason(
        "nfdump",
        "*/IPFIX",
        "flow flow_*",
        Ours,
        "nfdump takes a start (22) of zero, at boot, for no time",
    ),
    reason(
        "nfdump",
        "bitkeks*",
        "flow flow_*",
        Value,
        "the messages say 1994, their boot time (160) 2020: no flow is later than its export, but nfdump's are",
    ),
    reason(
        "nfdump",
        "bitkeks*",
        "flow icmp_type",
        Ours,
        "the template has no protocol, so nfdump does not see ICMP in element 32",
    ),
    reason(
        "nfdump",
        "bitkeks*",
        "flow dst_port",
        Theirs,
        "the template has no protocol, so nfdump shows element 32 as port",
    ),
    reason(
        "nfdump",
        "q6r__rs-ipfix/*",
        "flow icmp_*",
        Ours,
        "element 32 is in records of TCP and UDP too; nfdump prints it for ICMP",
    ),
    reason(
        "nfdump",
        "live/softflowd_v9*",
        "flow icmp_type",
        Ours,
        "nfdump reads element 139 as zero in NetFlow v9",
    ),
    reason("nfdump", "live/softflowd_ipfix*", "flow flow_*", Value, NO_WRAP),
    reason(
        "nfdump",
        "live/softflowd_ipfix-bi",
        "flow src_tos",
        Ours,
        "nfdump writes the reverse (29305:5) over the ToS (5)",
    ),
    reason(
        "nfdump",
        "live/softflowd_ipfix-bi",
        "flow src_tos",
        Theirs,
        "nfdump writes the reverse (29305:5) over the ToS (5)",
    ),
    reason("nfdump", "live/pmacctd_v9", "flow icmp_*", Theirs, SPLIT),
    reason("nfdump*", "NetGauze*", "flow icmp_*", Theirs, SPLIT),
    reason("nfdump", "*-multi-sources", "flow icmp_*", Theirs, SPLIT),
    reason("nfdump", "*_500-*", "flow forwarding_status", Ours, NO_STATUS),
    reason("nfdump", "*-multi-sources", "flow forwarding_status", Ours, NO_STATUS),
    reason("nfdump*", "NetGauze*", "flow protocol", Value, REPEATED),
    reason("nfdump*", "NetGauze*", "flow *_port", Theirs, REPEATED),
    reason("nfdump", "NetGauze*", "flow src_tos", Theirs, REPEATED),
    reason(
        "nfdump",
        "*_500-*",
        "flow *_addr",
        Value,
        "outer IPv6, then inner IPv4 in the template: the first is the outer, nfdump takes the last",
    ),
    reason("nfdump 1.7.1", "*_400-*", "flow *_addr", Ours, FAMILIES),
    reason("nfdump 1.7.1", "*_400-*", "flow *_addr", Value, FAMILIES),
    reason("nfdump 1.7.1", "*_400-*", "flow flow_*", Value, EXCHANGED),
    reason("nfdump 1.7.1", "*_400-*", "flow ether_type", Ours, OLD),
    reason("nfdump 1.7.1", "*_400-*", "flow forwarding_status", Ours, OLD),
    reason("nfdump 1.7.1", "*_400-*", "flow vlan", Ours, OLD),
    reason("nfdump 1.7.1", "*", "flow *_ttl", Ours, OLD),
    // The projects the captures are from
    reason("NetGauze", "*_102-*", "flow 27", Theirs, OTHER_FAMILY),
    reason("NetGauze", "*_102-*", "flow 28", Theirs, OTHER_FAMILY),
    reason("NetGauze", "*_500-*", "flow flow_*", Value, SINCE_BOOT),
    reason("logstash", "*/IPFIX", "flow flow_*", Value, SINCE_BOOT),
    reason(
        "logstash",
        "*/IPFIX_Netscaler*",
        "flow flow_*",
        Value,
        "its text has a placeholder in place of the fraction",
    ),
    reason("logstash", "*/Netflow*", "flow flow_*", Value, SECOND),
    reason(
        "logstash",
        "*/Netflow_9_H3C",
        "flow 43",
        Ours,
        "logstash knows it for 4 octets alone, and skips these 2",
    ),
    reason(
        "logstash",
        "*/Netflow_9_H3C",
        "flow 0",
        Ours,
        "logstash skips element 0, which is reserved; we keep its octet",
    ),
    reason(
        "logstash",
        "*/Netflow_9_Streamcore",
        "flow 8*",
        Ours,
        "logstash has names for these of Streamcore, not compared",
    ),
    reason("telegraf", "*/ipfix_example", "flow 184", Ours, LISTS),
    reason("telegraf", "*/ipfix_example", "flow 293", Ours, "a list (RFC 6313), which telegraf leaves out"),
    reason("telegraf", "*/netflow_v5_example", "flow flow_*", Ours, SINCE_BOOT),
    reason("telegraf", "*/netflow_v9_options", "option 1", Theirs, SCOPE),
    reason("telegraf", "*/netflow_v9_options", "option 144", Ours, SCOPE),
];

/// Whether `text` is as `pattern` says.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| is_like(tail, &rest[at..]))
}
