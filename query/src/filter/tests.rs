//! Filters and what they mean, as s-expressions.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::addr::Addr16;
use flow_common::tables::{NameKind, NameRow};
use flow_common::time::Timestamp;

use super::{Meaning, NoFilter, Surroundings, compile};
use crate::columns::Columns;
use crate::message::Failure;
use crate::names::Names;
use crate::places::Places;
use crate::{Env, Zone};

/// Files and names of a test.
#[derive(Default)]
pub(super) struct Told {
    files: HashMap<PathBuf, String>,
    names: Vec<Arc<Names>>,
    places: Option<Arc<Places>>,
    has_origins: bool,
}

impl Surroundings for Told {
    fn include(&mut self, path: &Path, bytes_max: usize) -> Result<String, String> {
        let text = self.files.get(path).cloned().ok_or("no such file or directory")?;
        if text.len() > bytes_max { Err("no room".into()) } else { Ok(text) }
    }

    fn names(&mut self) -> Vec<Arc<Names>> {
        self.names.clone()
    }

    fn places(&mut self) -> Result<Arc<Places>, Failure> {
        self.places.clone().ok_or_else(|| Failure::usage_hint("no database", "name one"))
    }

    fn origins(&mut self) -> Result<Option<Arc<Places>>, Failure> {
        Ok(self.places.clone().filter(|_| self.has_origins))
    }
}

impl Told {
    /// Two exporters that give one name to different interfaces.
    pub(super) fn some() -> Self {
        let row = |host: u8, kind: NameKind, id: i64, name: &str| NameRow {
            exporter_addr: Addr16::from_v4([192, 0, 2, host]),
            export_version: 10,
            observation_domain: 0,
            kind,
            id,
            name: name.to_owned(),
            description: None,
            mode: None,
            data_type: None,
            semantics: None,
            units: None,
            first_seen: Timestamp(0),
            last_seen: Timestamp(0),
        };
        let rows = vec![
            row(1, NameKind::Interface, 1, "eth0"),
            row(1, NameKind::Interface, 2, "eth1"),
            row(2, NameKind::Interface, 7, "eth0"),
            row(1, NameKind::Vrf, 5, "customers"),
            row(1, NameKind::Application, (3 << 32) | 53, "dns"),
            row(1, NameKind::Sampler, 1, "netflow-sampler"),
        ];
        let places = Some(Arc::new(crate::places::tests::some()));
        Self { names: vec![Arc::new(Names::new(rows))], places, ..Self::default() }
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

pub(super) fn meaning(filter: &str, told: &mut Told) -> Result<Meaning, NoFilter> {
    let env = Env { now: Timestamp(1_780_000_000_000_000), zone: Zone::Utc };
    compile(filter, env, &Columns::default(), told)
}

/// The s-expression, or the message and its hint on a line each.
pub(super) fn result(filter: &str, told: &mut Told) -> String {
    match meaning(filter, told) {
        Ok(meaning) => {
            meaning.notes.iter().fold(meaning.predicate.to_string(), |all, note| all + "\nnote: " + note)
        }
        Err(error) => {
            let said = |line: &&str| line.starts_with("error:") || line.starts_with("hint:");
            error.text.lines().filter(said).collect::<Vec<_>>().join("\n")
        }
    }
}

#[track_caller]
fn check(filter: &str, expected: &str) {
    assert_eq!(result(filter, &mut Told::some()), expected, "{filter}");
}

/// Compares a file of `testdata/filters` with what its filters mean. Lines with a margin
/// are results, those with `#` are comments.
#[track_caller]
pub(super) fn check_file(name: &str, of: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/filters").join(name);
    let committed = std::fs::read_to_string(&path).unwrap();
    let (mut fresh, mut results) = (String::new(), Vec::new());
    for line in committed.lines().filter(|line| !line.starts_with("    ")) {
        writeln!(fresh, "{line}").unwrap();
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        let result = of(line);
        result.lines().for_each(|line| writeln!(fresh, "    {line}").unwrap());
        results.push((line.to_owned(), result));
    }
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    for (number, (old, new)) in committed.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(old, new, "line {} of {name}", number + 1);
    }
    assert_eq!(committed.lines().count(), fresh.lines().count(), "{name}");
    results
}

#[test]
fn what_nfdump_accepts_is_accepted_or_differs_on_purpose() {
    let results = check_file("nfdump-accepts.txt", |filter| result(filter, &mut Told::some()));
    assert!(results.len() >= 161, "{}", results.len());
    let refused: Vec<_> = results.iter().filter(|(_, result)| result.starts_with("error")).collect();
    for (filter, result) in &refused {
        let is_known = super::vocabulary::MISSING.iter().any(|(_, why)| result.ends_with(why));
        let listed: Vec<_> = super::document::DIFFERENCES.iter().flat_map(|one| one.filters).collect();
        assert!(is_known || listed.contains(&&filter.as_str()), "{filter}: {result}");
    }
    assert!(refused.len() <= 33, "{refused:?}");
}

#[test]
fn what_nfdump_rejects_is_accepted_or_explained() {
    let results = check_file("nfdump-rejects.txt", |filter| result(filter, &mut Told::some()));
    for (filter, result) in results {
        assert!(!result.starts_with("error") || result.contains("\nhint: "), "no hint for {filter}");
    }
}

/// What a person gets wrong: each line is a filter, and what its hint has to say.
#[test]
fn typos_are_told_what_was_meant() {
    let results = check_file("typos.txt", |line| {
        let filter = line.split_once(" -> ").map_or(line, |(filter, _)| filter);
        result(filter, &mut Told::some())
    });
    let is_helped = |(line, result): &&(String, String)| {
        let meant = line.split_once(" -> ").map(|(_, meant)| meant).unwrap();
        result.starts_with("error")
            && result.lines().any(|line| line.starts_with("hint") && line.contains(meant))
    };
    let helped = results.iter().filter(is_helped).count();
    assert!(results.len() >= 60, "{}", results.len());
    assert!(helped * 100 >= results.len() * 95, "{helped} of {}", results.len());
}

#[test]
fn not_binds_tighter_than_and_than_or() {
    check(
        "proto tcp or proto udp and not src port 53",
        "(or (= protocol 6) (and (= protocol 17) (not (= src_port 53))))",
    );
    check(
        "(proto tcp || proto udp) && ! src port 53",
        "(and (or (= protocol 6) (= protocol 17)) (not (= src_port 53)))",
    );
    check("not not proto 6", "(not (not (= protocol 6)))");
    check("", "true");
    check(" # only a comment", "true");
    check("ANY AND PROTO TCP # and no more", "(and true (= protocol 6))");
}

#[test]
fn places_are_asked_of_databases() {
    check("geo ch", "(or (in (country src_addr) CH) (in (country dst_addr) CH))");
    check("geo != CH", "(and (out (country src_addr) CH) (out (country dst_addr) CH))");
    check("dst geo in [CH, AT]", "(in (country dst_addr) AT CH)");
    check("src nat geo not in [CH AT]", "(out (country post_nat_src_addr) AT CH)");
    check("src geo null", "(not (out (country src_addr)))");
    check("src geo present", "(out (country src_addr))");
    let mut told = Told { has_origins: true, ..Told::some() };
    let looked_up = "(or (= (origin src_as) 15169) (= (origin dst_as) 15169))";
    assert_eq!(result("as 15169", &mut told), looked_up);
    assert_eq!(result("prev as 15169", &mut told), "(= prev_as 15169)");
    let refused = result("src geo CH", &mut Told::default());
    assert!(refused.starts_with("error: no database") && refused.contains("hint: name one"), "{refused}");
    let wrong = result("src geo usa", &mut Told::some());
    assert!(wrong.starts_with("error: `usa` is no code of a country"), "{wrong}");
}

#[test]
fn the_name_of_a_file_is_known_before_its_rows() {
    let check = |filter: &str, ident: Option<&str>, expected: &str| {
        let predicate = meaning(filter, &mut Told::some()).unwrap().predicate;
        let found = predicate.of_file(ident).map(|found| found.to_string());
        assert_eq!(found.as_deref().unwrap_or("as it was"), expected, "{filter} {ident:?}");
    };
    let some = Some("edge1");
    check("ident edge1", some, "true");
    check("ident edge1", Some("edge2"), "false");
    check("ident edge1", None, "false");
    check("ident != edge1", Some("edge2"), "true");
    check("ident in [edge1 'a b']", Some("a b"), "true");
    check("not ident edge1", some, "false");
    check("port 53", some, "as it was");
    check("ident edge1 and proto 6", some, "(= protocol 6)");
    check("ident edge1 and proto 6", Some("x"), "false");
    check(
        "(ident edge1 or ident edge2) and (proto 6 or proto 17)",
        some,
        "(or (= protocol 6) (= protocol 17))",
    );
    check("ident edge1 or proto 6", Some("x"), "(= protocol 6)");
    check("ident edge1 or proto 6", some, "true");
}

#[test]
fn a_noun_without_a_side_means_either() {
    check("port 53", "(or (= src_port 53) (= dst_port 53))");
    check("port != 53", "(and (!= src_port 53) (!= dst_port 53))");
    check("if 1", "(or (= in_if 1) (= out_if 1))");
    check("in if 1", "(= in_if 1)");
    check("ip 10.0.0.1", "(or (in src_addr 10.0.0.1) (in dst_addr 10.0.0.1))");
    check("nat ip 10.1.1.1", "(or (in post_nat_src_addr 10.1.1.1) (in post_nat_dst_addr 10.1.1.1))");
    check("xlate port 5", "(or (= post_nat_src_port 5) (= post_nat_dst_port 5))");
    check("ttl > 5", "(or (> min_ttl 5) (> max_ttl 5))");
    check("vlan 5", "(or (= vlan 5) (= post_vlan 5))");
    check("bytes > 1k", "(> bytes 1000)");
    check("in bytes > 1k", "(> bytes 1000)");
    check("out bytes > 1k", "(> out_bytes 1000)");
    check("next ip 192.0.2.1", "(in next_hop 192.0.2.1)");
    check("tos 4", "(= src_tos 4)");
    check(
        "src mac 00:11:22:33:44:55",
        "(or (= in_src_mac 00:11:22:33:44:55) (= out_src_mac 00:11:22:33:44:55))",
    );
    check("in mac 0011.2233.4455", "(or (= in_src_mac 00:11:22:33:44:55) (= in_dst_mac 00:11:22:33:44:55))");
}

#[test]
fn a_column_is_a_noun_by_its_name() {
    check("src_addr 10.0.0.1", "(in src_addr 10.0.0.1)");
    check("flow_start > -1h", "(> flow_start 1779996400000000)");
    check("post_vlan 5", "(= post_vlan 5)");
    check("mpls_labels 5", "(= mpls_any 5)");
    check("application_id 3..53", "(= application_id 12884901941)");
}

#[test]
fn comparators_and_numbers() {
    check("src port > 1024", "(> src_port 1024)");
    check("src port >1024", "(> src_port 1024)");
    check("port=80", "(or (= src_port 80) (= dst_port 80))");
    check("src port lt 0x400", "(< src_port 1024)");
    check("src port ge 1 and src port <= 9", "(and (>= src_port 1) (<= src_port 9))");
    check("bytes == 10g", "(= bytes 10000000000)");
    check("bytes > 1t", "(> bytes 1000000000000)");
    check("bytes > 1.5M", "(> bytes 1500000)");
    check("bytes > 64KiB", "(> bytes 65536)");
    check("bps > 10m", "(>= bps 10000001)");
    check("icmp type 8", "(= icmp_type 8)");
    check("icmp-code > 1", "(>= icmp_code 2)");
    check("bpp in [40 1500]", "(in bpp 40 1500)");
    check("bpp != 40", "(!= bpp 40)");
    check("vni 5000", "(= vni 5000)");
}

#[test]
fn lists_and_ranges_of_every_kind() {
    check("dst port in [80, 443 8080]", "(in dst_port 80 443 8080)");
    check("dst port in [80-90,443]", "(in dst_port 80..90 443)");
    check("dst port 80-90", "(in dst_port 80..90)");
    check("dst port = [80 443]", "(in dst_port 80 443)");
    check("dst port > 80-90", "(> dst_port 90)");
    check("dst port < 80-90", "(< dst_port 80)");
    check("dst port not in [80-90 443]", "(in dst_port ..79 91..442 444..)");
    check("port != [80 443]", "(and (in src_port ..79 81..442 444..) (in dst_port ..79 81..442 444..))");
    check("proto in [tcp udp 47]", "(in protocol 6 17 47)");
    check("bpp in [40-80]", "(in bpp 40..80)");
    check("src ip in [10.0.0.1-10.0.0.9]", "(in src_addr 10.0.0.1..10.0.0.9)");
    check("src ip not in [10.0.0.1 10.0.0.2]", "(out src_addr 10.0.0.1 10.0.0.2)");
    check("src ip > 10.0.0.0/8", "(in src_addr 11.0.0.0..255.255.255.255)");
    check("src ip >= 2001:db8::", "(in src_addr 2001:db8::..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff)");
    check("src ip != 10.0.0.0/8", "(out src_addr 10.0.0.0..10.255.255.255)");
}

#[test]
fn what_is_not_there() {
    check("src vlan null", "(null vlan)");
    check("src vlan is null", "(null vlan)");
    check("src vlan is not null", "(present vlan)");
    check("src vlan present", "(present vlan)");
    check("src vlan != null", "(present vlan)");
    check("vlan present", "(or (present vlan) (present post_vlan))");
    check("vlan null", "(and (null vlan) (null post_vlan))");
    check("src vlan in [null 5-9]", "(or (null vlan) (in vlan 5..9))");
    check("src vlan not in [null 5]", "(!= vlan 5)");
    check("duration null", "(not (present duration_ms))");
    check("other present", "(present other)");
    check("asa user \"null\"", "(= username \"null\")");
}

#[test]
fn addresses_and_prefixes() {
    check("src ip 10.0.0.0/8", "(in src_addr 10.0.0.0..10.255.255.255)");
    check(
        "src net 192.168.1.10/24",
        "(in src_addr 192.168.1.0..192.168.1.255)\nnote: `src net 192.168.1.10/24` has host bits and is taken \
         as `192.168.1.0/24`",
    );
    check("src net 192.168.1.0 255.255.255.0", "(in src_addr 192.168.1.0..192.168.1.255)");
    check("src ip != 10.0.0.1", "(out src_addr 10.0.0.1)");
    check("src ip 0.0.0.0/0", "(in src_addr 0.0.0.0..255.255.255.255)");
    check(
        "src ip in [192.168.1.0/24 10.0.0.5, 2001:db8::/32]",
        "(in src_addr 10.0.0.5 192.168.1.0..192.168.1.255 2001:db8::..2001:db8:ffff:ffff:ffff:ffff:ffff:ffff)",
    );
    check("ipv4", "(or (in src_addr 0.0.0.0..255.255.255.255) (in dst_addr 0.0.0.0..255.255.255.255))");
    check("inet6", "(or (out src_addr 0.0.0.0..255.255.255.255) (out dst_addr 0.0.0.0..255.255.255.255))");
}

#[test]
fn flags_are_of_tcp() {
    let tcp = |test: &str| format!("(and (= protocol 6) {test})");
    check("flags SA", &tcp("(= (bits tcp_flags ...A..S.) ...A..S.)"));
    check("flags =SA", &tcp("(= (bits tcp_flags CEUAPRSF) ...A..S.)"));
    check("flags != SA", &tcp("(!= (bits tcp_flags CEUAPRSF) ...A..S.)"));
    check("flags S/SA", &tcp("(= (bits tcp_flags ...A..S.) ......S.)"));
    check("flags X", &tcp("(= (bits tcp_flags ..UAPRSF) ..UAPRSF)"));
    check(
        "flags in [S R]",
        &tcp("(or (= (bits tcp_flags ......S.) ......S.) (= (bits tcp_flags .....R..) .....R..))"),
    );
    check("flags 0x12", &tcp("(= tcp_flags 18)"));
    check("flags > 6", &tcp("(> tcp_flags 6)"));
}

#[test]
fn names_times_and_text() {
    check("flowdir egress", "(= direction 1)");
    check("asa event denied", "(= firewall_event 3)");
    check("asa denied nosyn", "(= firewall_ext_event 1004)");
    check("nat event in [add delete 3]", "(in nat_event 1..3)");
    check("fwdstat forw", "(= forwarding_status 1)");
    check("fwdstat dropped", "(in forwarding_status 128..191)");
    check("asa user \"joe doe\"", "(= username \"joe doe\")");
    check("user in [a b]", "(= username \"a\" \"b\")");
    check("user not in [a b]", "(!= username \"a\" \"b\")");
    check("user > m", "(> username \"m\")");
    check("dscp ef", "(in src_tos 184..187)");
    check("dst dscp >= af41", "(in dst_tos 136..255)");
    check("ecn ce", "(= (bits src_tos 3) 3)");
    check("sampled", "(> sampling_rate 1)");
    check("exporter 192.0.2.1", "(in exporter_addr 192.0.2.1)");
    check("first seen >= 2026-05-28T20:26:40", "(>= flow_start 1780000000000000)");
    check("first >= 2026-05-28T20:26", "(>= flow_start 1779999960000000)");
    check("start > 1780000000", "(> flow_start 1780000000000000)");
    check("start 2026-05-28", "(in flow_start 1779926400000000..1780012799999999)");
    check("last seen < '2026-05-28 20:26:40'", "(< flow_end 1780000000000000)");
    check("received > -1h", "(> received 1779996400000000)");
    check("duration > 5000", "(>= duration_ms 5001)");
    check(
        "duration > 5m",
        "(>= duration_ms 5000001)\nnote: `duration` of `5m` is `5000000ms`; minutes are `5min`",
    );
    check("duration > 5s", "(>= duration_ms 5001)");
    check("duration 1min-2min", "(in duration_ms 60000..120000)");
    check("client latency > 10ms", "(> client_latency 10000)");
}

#[test]
fn relations_between_columns() {
    check("ttl equal", "(= max_ttl min_ttl)");
    check("src port in nat pblock", "(in src_port port_block_start..port_block_end)");
    check("mpls eos 5", "(= mpls_eos 5)");
    check("mpls label3 > 100", "(>= mpls_label3 101)");
    check("mpls any != 5", "(and (present mpls_labels) (not (= mpls_any 5)))");
    check("ingress acl 0xf0f0", "(= ingress_acl 61680)");
    check("ingress acl != 5", "(no (= ingress_acl 5))");
}

#[test]
fn names_of_exporters_become_numbers() {
    check("in if name eth0", "(and (in in_if 1 7) (known in_if_name 2))");
    check("in if name != eth0", "(and (= in_if 2) (known in_if_name 1))");
    check("in if name null", "(not (and (in in_if 1..2 7) (known in_if_name 3)))");
    check(
        "if name eth1",
        "(or (and (= in_if 2) (known in_if_name 1)) (and (= out_if 2) (known out_if_name 1)))",
    );
    check(
        "app dns",
        "(or (= application_name \"dns\") (and (null application_name) (and (= application_id 12884901941) \
         (known application_name 1))))",
    );
    check("ingress vrf name customers", "(and (= ingress_vrf 5) (known ingress_vrf_name 1))");
    check("sampler netflow-sampler", "(known sampler_name 1)");
    check(
        "in if name eht0",
        "false\nnote: no exporter of these files told of interface `eht0`; did you mean `in if name \"eth0\"`?",
    );
}

#[test]
fn files_are_included() {
    let include = |filter: &str| {
        let told = Told::default()
            .with("a/web.filter", "port in [80 443] # the web\n")
            .with("a/all", "( @include web.filter or port 53)")
            .with("ports", "80, 443")
            .with("loop", "@include loop")
            .with("bad", "proto tcp and\nsrc prot 5");
        result(filter, &mut { told })
    };
    let web = "(or (in src_port 80 443) (in dst_port 80 443))";
    assert_eq!(include("proto tcp and @include a/web.filter"), format!("(and (= protocol 6) {web})"));
    assert_eq!(
        include("@include \"a/all\" and proto udp"),
        format!("(and (or {web} (or (= src_port 53) (= dst_port 53))) (= protocol 17))")
    );
    assert_eq!(include("src port in [ @include ports ]"), "(in src_port 80 443)");
    assert_eq!(include("@include loop"), "error: files include each other deeper than 10 in `loop`");
    assert_eq!(include("@include none"), "error: can't include `none`: no such file or directory");
    assert_eq!(
        include("@include"),
        "error: a file is missing after `@include`\nhint: for example `@include /etc/flowcap/servers.filter`"
    );
    let error =
        meaning("any and @include bad", &mut Told::default().with("bad", "proto tcp and\nsrc prot 5"));
    assert_eq!(
        error.unwrap_err().text,
        "error: unknown word `prot` after `src` in filter in `bad`\n  |\n2 | src prot 5\n  |     ^^^^\nhint: did \
         you mean `src port`?\n"
    );
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| "(".repeat(n) + "any" + &")".repeat(n);
    assert!(meaning(&deep(200), &mut Told::default()).is_ok());
    assert!(meaning(&deep(100_000), &mut Told::default()).is_err());
    assert!(meaning(&"not ".repeat(100_000), &mut Told::default()).is_err());
    let long = vec!["port 80"; 50_000].join(" or ");
    assert!(meaning(&long, &mut Told::default()).is_ok());
}

/// Words of known filters in any order, cut anywhere: a filter or an error, never a panic.
#[test]
fn no_text_panics() {
    let known = [
        include_str!("../../../testdata/filters/nfdump-accepts.txt"),
        include_str!("../../../testdata/filters/typos.txt"),
    ];
    let words: Vec<&str> =
        known.iter().flat_map(|text| text.split([' ', '\n'])).filter(|word| !word.is_empty()).collect();
    let mut state = 0x5eed_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let mut told = Told::some();
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..1 + below(7) {
            let word = words[below(words.len())];
            let end = if below(8) == 0 { below(word.len() + 1) } else { word.len() };
            text += word.get(..end).unwrap_or(word);
            text += [" ", " ", " ", "", "\n"][below(5)];
        }
        if let Err(error) = meaning(&text, &mut told) {
            assert!(error.text.starts_with("error: "), "{text}: {}", error.text);
        }
    }
}
