//! What tshark makes of a capture: its JSON, stored beside the capture or made
//! now, read into elements. tshark names fields by its own abbreviations
//! (`tshark/names.rs`); which element of several is meant says the template,
//! as tshark read it.

mod json;
mod names;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process::Command;

use chrono::NaiveDateTime;
use flow_common::element::{ElementKey, REVERSE_PEN};
use flow_tests::pcap::udp_payloads;

use self::json::Node;
use self::names::{NAMES, OF_ENTERPRISES, Spelling};
use crate::case::{Case, has_program};
use crate::record::{Decoded, Foreign, Given, Record, canonical, from_hex, hex};

/// A template: fields in order, and whether it is of options.
#[derive(Debug, Clone, Default)]
struct Template {
    fields: Vec<ElementKey>,
    is_options: bool,
}

/// Templates by exporter, its port, observation domain and id.
type Templates = HashMap<(String, String, u32, String), Template>;

/// What outlives a message.
#[derive(Debug, Default)]
struct State {
    templates: Templates,
    /// When an exporter's domain booted, milliseconds (element 160).
    inits: HashMap<(String, u32), i64>,
}

/// Records of a capture; `None` if there is neither output nor program.
pub(crate) fn decode(case: &Case) -> Option<Decoded<Foreign>> {
    let stored = fs::read_to_string(case.file(".tshark.json"));
    let json = stored.ok().or_else(|| run(case))?;
    let packets: Node = serde_json::from_str(&json).unwrap();
    let mut state = State::default();
    let mut decoded = Decoded::default();
    for packet in packets.list() {
        let layers = packet.get("_source").and_then(|source| source.get("layers"));
        read_packet(layers.unwrap_or(&json::EMPTY), &mut state, &mut decoded);
    }
    Some(decoded)
}

fn run(case: &Case) -> Option<String> {
    if !has_program("tshark", "--version", "TShark (Wireshark) 4.0.") {
        return None;
    }
    let payloads = udp_payloads(&fs::read(case.pcap()).unwrap());
    let ports: BTreeSet<_> = payloads.iter().map(|(_, to, _, _)| to.port()).collect();
    let mut command = Command::new("tshark");
    command.env("TZ", "UTC").arg("-r").arg(case.pcap()).args(["-T", "json", "-J", "cflow ip ipv6 udp"]);
    for port in ports {
        command.args(["-d", &format!("udp.port=={port},cflow")]);
    }
    let output = command.output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// What all records of a message share.
struct Message<'a> {
    head: Record,
    exporter: &'a str,
    port: &'a str,
    domain: u32,
    /// Export time, microseconds since 1970.
    export_us: i64,
    /// When the exporter booted, microseconds since 1970.
    boot_us: Option<i64>,
}

impl<'a> Message<'a> {
    fn read(layers: &'a Node, flow: &'a Node, state: &State) -> Self {
        let address = |layer: &str, field| layers.get(layer).and_then(|layer| layer.text(field));
        let exporter = address("ip", "ip.src").or_else(|| address("ipv6", "ipv6.src")).unwrap();
        let version = flow.text("cflow.version").unwrap();
        let domain = flow.text("cflow.od_id").or_else(|| flow.text("cflow.source_id"));
        let mut head = Record::new();
        let mut set = |name: &str, value: Option<&str>| {
            head.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        };
        set("exporter_addr", Some(exporter));
        set("export_version", Some(version));
        set("observation_domain", domain);
        set("sequence", flow.text("cflow.sequence"));
        set("engine_type", flow.text("cflow.engine_type"));
        set("engine_id", flow.text("cflow.engine_id"));
        let time = flow.get("cflow.timestamp_tree").unwrap_or(&json::EMPTY);
        let number = |name| time.text(name).and_then(|text| text.parse::<i64>().ok());
        let secs = number("cflow.unix_secs").or_else(|| number("cflow.exporttime")).unwrap_or_default();
        let export_us = secs * 1_000_000 + number("cflow.unix_nsecs").unwrap_or_default() / 1_000;
        head.insert("export_time".to_owned(), export_us.to_string());
        let domain = domain.and_then(|domain| domain.parse().ok()).unwrap_or_default();
        let uptime_ms = flow.text("cflow.sysuptime").map(seconds_to_millis);
        let init_ms = || state.inits.get(&(exporter.to_owned(), domain)).copied();
        let boot_us = uptime_ms.map(|ms| export_us - ms * 1_000).or_else(|| Some(init_ms()? * 1_000));
        Self {
            head,
            exporter,
            port: layers.get("udp").and_then(|udp| udp.text("udp.srcport")).unwrap_or_default(),
            domain,
            export_us,
            boot_us,
        }
    }

    fn template_key(&self, id: &str) -> (String, String, u32, String) {
        (self.exporter.to_owned(), self.port.to_owned(), self.domain, id.to_owned())
    }
}

fn read_packet(layers: &Node, state: &mut State, decoded: &mut Decoded<Foreign>) {
    let Some(flow) = layers.get("cflow") else { return };
    if flow.text("cflow.version").is_none() {
        return;
    }
    let mut message = Message::read(layers, flow, state);
    for (name, set) in flow.items() {
        if name.starts_with("pdu ") {
            decoded.flows.push(record(&message, set, None));
        }
        if !name.starts_with("Set ") && !name.starts_with("FlowSet ") {
            continue;
        }
        read_templates(&message, set, &mut state.templates);
        let id = set.text("cflow.flowset_id").unwrap_or_default();
        let template = state.templates.get(&message.template_key(id));
        for (name, pdu) in set.items() {
            if name.starts_with("Flow ") {
                let record = record(&message, pdu, template);
                let init = record.fields.iter().find(|(key, _)| *key == ElementKey::iana(160));
                let init_us = init.and_then(|(_, given)| given.text.parse::<i64>().ok());
                if let Some(init_us) = init_us {
                    state.inits.insert((message.exporter.to_owned(), message.domain), init_us / 1_000);
                    message.boot_us = Some(init_us);
                }
                match template.is_some_and(|template| template.is_options) {
                    true => decoded.options.push(record),
                    false => decoded.flows.push(record),
                }
            }
        }
    }
}

fn read_templates(message: &Message<'_>, set: &Node, templates: &mut Templates) {
    for (name, template) in set.items() {
        let is_options = name.starts_with("Options Template (");
        if !is_options && !name.starts_with("Template (") {
            continue;
        }
        let Some(id) = template.text("cflow.template_id") else { continue };
        let fields = template.items().filter(|(name, _)| name.starts_with("Field ("));
        let fields = fields.map(|(_, field)| element(field)).collect();
        templates.insert(message.template_key(id), Template { fields, is_options });
    }
}

/// The element of a field of a template.
fn element(field: &Node) -> ElementKey {
    let number = |name| field.text(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(scope) = number("cflow.scope_field_type") {
        // RFC 3954 §6.1, and what IPFIX calls the same.
        return ElementKey::iana([0, 144, 10, 141, 143, 145].get(scope as usize).copied().unwrap_or(0));
    }
    // Some enterprises have a name of their own for it.
    let mut ids = field.items().filter(|(name, _)| name.contains("field_type"));
    let id = ids.find_map(|(_, id)| match id {
        Node::Text(text) => text.parse::<u64>().ok(),
        _ => None,
    });
    let id = id.unwrap_or_default();
    let pen = number("cflow.template_ipfix_field_pen").unwrap_or_default();
    ElementKey { pen: pen as u32, id: id as u16 }
}

fn record(message: &Message<'_>, pdu: &Node, template: Option<&Template>) -> Foreign {
    let mut foreign = Foreign { head: message.head.clone(), ..Foreign::default() };
    let mut shown = Vec::new();
    flatten(pdu, &mut shown);
    if template.is_some_and(|template| template.fields.contains(&ElementKey::iana(139))) {
        join_icmp(&mut shown);
    }
    // It shows a duration as it shows the difference of start and end.
    if template.is_some_and(|template| template.fields.contains(&ElementKey::iana(161))) {
        let millis = pdu.text("cflow.timedelta").map(|secs| seconds_to_millis(secs).to_string());
        foreign.fields.extend(millis.map(|text| (ElementKey::iana(161), Given::text(text))));
    }
    let init = shown.iter().find(|(name, _)| name == "cflow.sys_init_time");
    let boot_us = init.map(|(_, time)| micros(time)).or(message.boot_us);
    let mut is_used = vec![false; template.map_or(0, |template| template.fields.len())];
    for (name, value) in shown {
        let name = name.trim_start_matches("cflow.");
        if matches!(name, "enterprise_private_entry" | "unknown_field_type") {
            foreign.unnamed.1.push(value);
            continue;
        }
        let (keys, spelling) = meant(name);
        let key = match template {
            None => keys.first().copied(),
            Some(template) => {
                let is_meant = |key: &ElementKey| {
                    let key = if key.pen == REVERSE_PEN { ElementKey::iana(key.id) } else { *key };
                    keys.contains(&key)
                };
                let mut fields = template.fields.iter().enumerate();
                let found = fields.find(|(index, key)| !is_used[*index] && is_meant(key));
                found.map(|(index, key)| {
                    is_used[index] = true;
                    *key
                })
            }
        };
        match key {
            Some(key) => foreign.fields.push((key, given(message.export_us, boot_us, key, spelling, &value))),
            None => foreign.unplaced.push((name.to_owned(), value)),
        }
    }
    let has_name = |key: &ElementKey| {
        let is_iana = key.pen == 0 || key.pen == REVERSE_PEN;
        is_iana && NAMES.iter().any(|(_, ids, _)| ids.contains(&key.id))
            || OF_ENTERPRISES.iter().any(|(_, pen, id)| (*pen, *id) == (key.pen, key.id))
            || [ElementKey::iana(161), ElementKey::iana(210)].contains(key)
    };
    let fields = template.iter().flat_map(|template| &template.fields);
    foreign.unnamed.0 = fields.filter(|key| !has_name(key)).copied().collect();
    foreign
}

/// It splits element 139, and shows it as it does 178 and 179.
fn join_icmp(shown: &mut Vec<(String, String)>) {
    let of = |name: &str, shown: &[(String, String)]| -> Vec<u16> {
        let values = shown.iter().filter(|(known, _)| known == name);
        values.filter_map(|(_, value)| value.parse().ok()).collect()
    };
    let (types, codes) = (of("cflow.icmp_ipv6_type", shown), of("cflow.icmp_ipv6_code", shown));
    shown.retain(|(name, _)| !name.starts_with("cflow.icmp_ipv6_"));
    let joined = types.iter().zip(codes).map(|(icmp_type, code)| icmp_type << 8 | code);
    shown.extend(joined.map(|value| ("cflow.icmp_type_code_ipv6".to_owned(), value.to_string())));
}

/// The elements an abbreviation stands for, and how it spells them.
fn meant(name: &str) -> (Vec<ElementKey>, Spelling) {
    if let Some((_, ids, spelling)) = NAMES.iter().find(|(known, _, _)| *known == name) {
        return (ids.iter().map(|id| ElementKey::iana(*id)).collect(), *spelling);
    }
    let of_enterprise = OF_ENTERPRISES.iter().filter(|(known, _, _)| *known == name);
    (of_enterprise.map(|&(_, pen, id)| ElementKey { pen, id }).collect(), Spelling::Text)
}

/// All fields of a record with their values, without what only explains them.
fn flatten(pdu: &Node, shown: &mut Vec<(String, String)>) {
    let mut engine = None;
    let mut forwarding = None;
    for (name, node) in pdu.items() {
        match (name, node) {
            ("cflow.appl_id.classification_engine_id", Node::Text(text)) => {
                engine = text.parse::<u8>().ok();
            }
            ("cflow.appl_id.selector_id", Node::Text(text)) => {
                let octets = [engine.as_slice(), &from_hex(text)].concat();
                shown.push(("cflow.appl_id".to_owned(), hex(&octets)));
            }
            ("cflow.forwarding_status", Node::Text(text)) => forwarding = text.parse::<u32>().ok(),
            ("cflow.forwarding_status_tree", _) => {}
            (name, Node::Text(code)) if name.starts_with("cflow.forwarding_status_") => {
                let status = forwarding.unwrap_or_default() << 6 | code.parse::<u32>().unwrap_or_default();
                shown.push(("cflow.forwarding_status".to_owned(), status.to_string()));
            }
            ("cflow.timedelta" | "cflow.string_len_short" | "cflow.string_len_long", _) => {}
            (
                "cflow.padding" | "cflow.reserved" | "cflow.pie.ixia" | "cflow.pie.netscaler",
                Node::Text(_),
            ) => {}
            ("cflow.timedelta_tree" | "Forwarding Status", tree) => flatten(tree, shown),
            (_, tree) if name.starts_with("MPLS-Label") => {
                let part = |name| tree.text(name).unwrap_or_default();
                let [label, exp, bottom] = ["cflow.mpls_label", "cflow.mpls_exp", "cflow.mpls_bos"].map(part);
                shown.push(("cflow.mpls".to_owned(), format!("{label}-{exp}-{bottom}")));
            }
            (name, tree) if name.starts_with("cflow.pie.") && name.ends_with("_tree") => flatten(tree, shown),
            (name, _) if name.ends_with("_tree") => {}
            (name, Node::Text(text)) => shown.push((name.to_owned(), text.clone())),
            (name, _) => shown.push((name.to_owned(), String::new())),
        }
    }
}

fn given(export_us: i64, boot_us: Option<i64>, key: ElementKey, spelling: Spelling, value: &str) -> Given {
    let uptime = |stamp_ms: i64| Given {
        text: stamp_ms.to_string(),
        wall: boot_us.map(|boot_us| wall(export_us, boot_us, stamp_ms)),
    };
    let digits = value.strip_prefix("0x");
    match spelling {
        Spelling::Number => match digits {
            Some(digits) => Given::text(u64::from_str_radix(digits, 16).unwrap().to_string()),
            None => Given::text(value),
        },
        Spelling::Text => Given::text(value),
        Spelling::Octets => Given::text(canonical(key, &from_hex(value))),
        // It shows a stamp of zero as a time.
        Spelling::Time if matches!(key.id, 21 | 22) => uptime(micros(value) / 1_000),
        Spelling::Time => Given::text(micros(value).to_string()),
        Spelling::Uptime => uptime(seconds_to_millis(value)),
    }
}

/// Milliseconds since boot, modulo 2³², as time of day. A flow is not in the future.
fn wall(export_us: i64, boot_us: i64, stamp_ms: i64) -> i64 {
    const HOUR_US: i64 = 3_600_000_000;
    const WRAP_US: i64 = 1_000 << 32;
    let ahead_us = boot_us + stamp_ms * 1_000 - export_us - HOUR_US;
    export_us + HOUR_US + ahead_us.rem_euclid(WRAP_US) - WRAP_US
}

/// Microseconds since 1970 of `Jul 21, 2014 11:18:50.111000000 UTC`.
fn micros(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text.trim_end_matches(" UTC"), "%b %e, %Y %H:%M:%S%.f")
        .map_or(0, |time| time.and_utc().timestamp_micros())
}

fn seconds_to_millis(text: &str) -> i64 {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = format!("{fraction:0<3}");
    secs.parse::<i64>().unwrap() * 1_000 + fraction[..3].parse::<i64>().unwrap()
}
