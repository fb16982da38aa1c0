//! Forged senders beside honest ones: memory stays bounded, and nothing honest is
//! lost of what a sender that can't be told from an exporter does not take away.
//!
//! All 10⁷ templates, minutes of them:
//! `FLOOD_DATAGRAMS=10000000 cargo test --release -p flow-tests --test flood -- --test-threads=1 --nocapture`

use std::net::{Ipv4Addr, SocketAddr};

use flow_collector::harness::Decoding;
use flow_common::limits;
use flow_tests::packet::{Value, v9};

const START_SECS: u32 = 1_795_262_400;
const N_HONEST: u32 = 100;
const N_SOURCES: u32 = 100_000;
/// Seconds the honest have been there before.
const QUIET_SECS: u32 = 120;

/// What forged datagrams hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forged {
    Templates,
    /// A template, and a record that it decodes.
    TemplatesAndData,
    /// Data for templates that never come.
    Data,
    /// One of them after the other.
    All,
}

impl Forged {
    fn encode(self, n: u32, secs: u32) -> Vec<u8> {
        let message = v9::Message::new(1_000, secs, n, n / N_SOURCES);
        let id = 256 + (n % 1_000) as u16;
        let template = [(8, 4), (12, 4), (1, 4)];
        match self {
            Self::Templates => message.template(id, &template).encode(),
            Self::TemplatesAndData => message.template(id, &template).data(id, &[vec![1; 12]]).encode(),
            Self::Data => message.data(id, &[vec![1; 12]]).encode(),
            Self::All => {
                let kinds = [Self::Templates, Self::TemplatesAndData, Self::Data];
                kinds[n as usize % kinds.len()].encode(n, secs)
            }
        }
    }
}

/// Exporters with three templates of flows, used every second, every 20 s and every
/// minute, and one of options, used every two minutes. All are sent again every
/// ten minutes.
struct Honest {
    n_sent: u64,
    n_decoded: u64,
}

impl Honest {
    const PERIODS_SECS: [u32; 4] = [1, 20, 60, 120];

    fn second(&mut self, decoding: &mut Decoding, secs: u32) {
        for exporter in 0..N_HONEST {
            let age_secs = secs - START_SECS;
            let peer = SocketAddr::from((Ipv4Addr::from(0xc0a8_0000 + exporter), 2_055));
            let mut message = v9::Message::new(1_000 * age_secs, secs, age_secs, 1);
            let fields = [(8, 4), (12, 4), (7, 2), (1, 4)];
            if age_secs.is_multiple_of(600) {
                message = message.templates(&[(256, &fields), (257, &fields), (258, &fields)]);
                message = message.options_template(259, &[(v9::scope::SYSTEM, 4)], &[(34, 4)]);
            }
            for (id, period_secs) in (256..).zip(Self::PERIODS_SECS) {
                if age_secs.is_multiple_of(period_secs) {
                    let octets = if id == 259 { 8 } else { 14 };
                    message = message.data(id, &[Value::new().octets(&vec![1; octets]).encode()]);
                    self.n_sent += 1;
                }
            }
            decoding.clear();
            self.n_decoded += decoding.decode_from(&message.encode(), peer, secs.into()) as u64;
        }
    }
}

/// Forged datagrams of each test where the environment says how many, and how many of
/// them a second.
fn n_asked_for() -> Option<(u32, u32)> {
    let n = std::env::var("FLOOD_DATAGRAMS").ok()?;
    Some((n.parse().expect("FLOOD_DATAGRAMS is a number"), 20_000))
}

/// Honest exporters alone, then beside `n` forged datagrams, so many a second.
#[track_caller]
fn check(forged: Forged, n: u32, n_per_sec: u32) {
    let asked_for = n_asked_for();
    let (n, n_per_sec) = asked_for.unwrap_or((n, n_per_sec));
    let mut decoding = Decoding::default();
    let mut honest = Honest { n_sent: 0, n_decoded: 0 };
    let mut secs = START_SECS;
    for _ in 0..QUIET_SECS {
        honest.second(&mut decoding, secs);
        secs += 1;
    }
    for n in 0..n {
        if n.is_multiple_of(n_per_sec) {
            honest.second(&mut decoding, secs);
            secs += 1;
        }
        let source = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + n % N_SOURCES), 2_055));
        decoding.decode_from(&forged.encode(n, secs), source, secs.into());
        decoding.clear();
        assert!(decoding.n_templates() <= limits::TEMPLATES_MAX);
    }
    assert_eq!(honest.n_decoded, honest.n_sent, "{forged:?}: honest records are lost");
    // Of the process, so it says something only where tests do not run side by side.
    if asked_for.is_some() {
        check_memory(forged);
    }
}

#[expect(clippy::print_stdout, reason = "the figure is what a long run is for")]
fn check_memory(forged: Forged) {
    println!("{forged:?}: at most {} KiB", high_water_kib());
    assert!(high_water_kib() < 256 << 10, "{} KiB", high_water_kib());
}

#[test]
fn forged_templates_take_nothing_from_the_honest() {
    check(Forged::Templates, 150_000, 1_000);
}

#[test]
fn forged_templates_that_decode_take_nothing_from_the_honest() {
    check(Forged::TemplatesAndData, 250_000, 1_500);
}

#[test]
fn forged_data_takes_nothing_from_the_honest() {
    check(Forged::Data, 100_000, 1_000);
}

#[test]
fn a_flood_of_all_kinds_takes_nothing_from_the_honest() {
    check(Forged::All, 150_000, 1_500);
}

/// An exporter that comes when the table is full of forged templates in use.
#[test]
fn forged_templates_that_decode_keep_no_newcomer_out() {
    let mut decoding = Decoding::default();
    for n in 0..limits::TEMPLATES_MAX as u32 {
        let source = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + n), 2_055));
        let message = Forged::TemplatesAndData.encode(n, START_SECS);
        decoding.decode_from(&message, source, START_SECS.into());
    }
    decoding.clear();
    let mut newcomers = Honest { n_sent: 0, n_decoded: 0 };
    for secs in START_SECS..START_SECS + 3 {
        newcomers.second(&mut decoding, secs);
    }
    assert_eq!(newcomers.n_decoded, newcomers.n_sent);
}

/// Memory of the process at its highest, KiB.
fn high_water_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
