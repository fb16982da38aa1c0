//! Tests of the models: captured and made-up sequences of messages.

use super::*;

/// Sequence and data records of each message of a capture: v5 from its headers
/// (tshark), IPFIX counted by a script, templates not counted. For v9 only the
/// sequence is used; its counts are the header's, less templates.
struct Capture {
    name: &'static str,
    version: u16,
    messages: &'static [(u32, u32)],
    model: Option<Model>,
}

const V5_OVS: &[(u32, u32)] = &[
    (1, 2),
    (3, 2),
    (5, 2),
    (7, 2),
    (9, 2),
    (11, 2),
    (13, 2),
    (15, 2),
    (17, 2),
    (19, 2),
    (21, 2),
    (23, 2),
    (25, 2),
    (27, 2),
    (29, 2),
    (33, 4),
    (35, 2),
    (37, 2),
    (39, 2),
    (41, 2),
    (43, 2),
    (45, 2),
    (47, 2),
    (49, 2),
    (51, 2),
    (53, 2),
    (55, 2),
    (57, 2),
    (59, 2),
];
const V9_PMACCTD: &[(u32, u32)] =
    &[(1, 1), (2, 5), (3, 4), (4, 2), (5, 5), (6, 6), (7, 5), (8, 6), (9, 6), (10, 6), (11, 3)];
const IPFIX_PMACCTD: &[(u32, u32)] =
    &[(0, 1), (1, 5), (6, 4), (10, 2), (12, 5), (17, 6), (23, 5), (28, 6), (34, 6), (40, 6), (46, 3)];

/// Domain 123: templates in 18 messages that all say 1, then one record each.
fn ipfix_ovs() -> Vec<(u32, u32)> {
    let templates = std::iter::repeat_n((1, 0), 18);
    templates.chain((2..=89).map(|sequence| (sequence, 1))).collect()
}

fn captures() -> Vec<Capture> {
    let first = Some(Model::FirstRecord);
    let ovs: &'static [(u32, u32)] = ipfix_ovs().leak();
    vec![
        Capture { name: "v5-ovs", version: 5, messages: V5_OVS, model: Some(Model::LastRecord) },
        Capture { name: "v5-softflowd", version: 5, messages: &[(0, 3), (3, 27)], model: None },
        Capture {
            name: "v5-pmacctd",
            version: 5,
            messages: &[(0, 1), (1, 4), (5, 3), (8, 1), (9, 27)],
            model: first,
        },
        Capture { name: "v9-softflowd", version: 9, messages: &[(1, 5), (2, 26), (3, 11)], model: None },
        Capture { name: "v9-pmacctd", version: 9, messages: V9_PMACCTD, model: Some(Model::Message) },
        Capture {
            name: "ipfix-softflowd",
            version: 10,
            messages: &[(4, 5), (30, 26), (41, 11)],
            model: None,
        },
        Capture { name: "ipfix-pmacctd", version: 10, messages: IPFIX_PMACCTD, model: first },
        // One record a message: every model says the same, but for the start.
        Capture { name: "ipfix-ovs", version: 10, messages: ovs, model: Some(Model::Message) },
    ]
}

/// Totals of a run, and the kinds of its last messages.
#[derive(Debug, Default)]
struct Run {
    lost: u64,
    recovered: u64,
    kinds: Vec<Kind>,
    tracker: SequenceTracker,
}

fn run(version: u16, messages: impl IntoIterator<Item = (u32, Option<u32>)>) -> Run {
    let mut run = Run::default();
    for (sequence, n_records) in messages {
        let seen = run.tracker.observe(version, sequence, n_records);
        run.lost += seen.lost;
        run.recovered += seen.recovered;
        run.kinds.push(seen.kind);
    }
    run
}

fn known(messages: &[(u32, u32)]) -> impl Iterator<Item = (u32, Option<u32>)> {
    messages.iter().map(|&(sequence, n)| (sequence, Some(n)))
}

/// Feeds messages; compares (lost, recovered) and the kinds of the last ones.
#[track_caller]
fn check(version: u16, messages: &[(u32, u32)], sums: (u64, u64), last: &[Kind]) {
    let run = run(version, known(messages));
    assert_eq!((run.lost, run.recovered), sums, "{:?}", run.kinds);
    assert!(run.kinds.ends_with(last), "{:?}", run.kinds);
}

#[test]
fn captures_have_no_losses_and_known_models() {
    for capture in captures() {
        let run = run(capture.version, known(capture.messages));
        assert_eq!((run.lost, run.recovered), (0, 0), "{}", capture.name);
        assert_eq!(run.tracker.model(), capture.model, "{}", capture.name);
    }
}

#[test]
fn a_message_taken_out_of_a_capture_is_lost_exactly() {
    for capture in captures().into_iter().filter(|capture| 10 < capture.messages.len()) {
        // Explained before, and four times after; not the templates of OVS.
        let begin = if capture.name == "ipfix-ovs" { 20 } else { 2 };
        for removed in begin..capture.messages.len() - usize::from(STABLE_MESSAGES) - 1 {
            let mut messages = capture.messages.to_vec();
            let (_, n_records) = messages.remove(removed);
            let lost = if capture.version == 9 { 1 } else { u64::from(n_records) };
            let run = run(capture.version, known(&messages));
            assert_eq!((run.lost, run.recovered), (lost, 0), "{} without {removed}", capture.name);
        }
    }
}

/// Messages of 1 to 30 records as an exporter of a model numbers them.
fn exported(model: Model, first: u32, n_messages: u32, random: &mut Xorshift) -> Vec<(u32, u32)> {
    let mut next = first;
    (0..n_messages)
        .map(|_| {
            let n_records = 1 + random.below(30);
            let begin = next;
            next = next.wrapping_add(if model == Model::Message { 1 } else { n_records });
            let sequence = match model {
                Model::FirstRecord | Model::Message => begin,
                Model::LastRecord => next,
                Model::Constant => first,
            };
            (sequence, n_records)
        })
        .collect()
}

const EXPORTERS: &[(u16, Model)] = &[
    (5, Model::FirstRecord),
    (5, Model::LastRecord),
    (9, Model::Message),
    (10, Model::FirstRecord),
    (10, Model::LastRecord),
    (10, Model::Message),
];

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % bound
    }
}

fn units(model: Model, n_records: u32) -> u64 {
    if model == Model::Message { 1 } else { n_records.into() }
}

const N_MESSAGES: u32 = 10_000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// In order at the beginning, to learn, and at the end, to settle what is held.
const N_CALM: usize = 16;

fn is_calm(index: usize) -> bool {
    !(N_CALM..N_MESSAGES as usize - N_CALM).contains(&index)
}

/// Drops `percent` of the messages; returns the rest and what they carried.
fn drop_some(
    model: Model,
    messages: Vec<(u32, u32)>,
    percent: u32,
    random: &mut Xorshift,
) -> (Vec<(u32, u32)>, u64) {
    let mut lost = 0;
    let mut index = 0;
    let mut kept = messages;
    kept.retain(|&(_, n_records)| {
        let is_kept = is_calm(index) || percent <= random.below(100);
        index += 1;
        lost += if is_kept { 0 } else { units(model, n_records) };
        is_kept
    });
    (kept, lost)
}

#[test]
fn random_losses_are_counted_exactly() {
    for seed in SEEDS {
        for &(version, model) in EXPORTERS {
            for percent in [0, 1, 10, 50] {
                let mut random = Xorshift(seed);
                // Every run wraps.
                let sent = exported(model, u32::MAX - 5_000, N_MESSAGES, &mut random);
                let (kept, lost) = drop_some(model, sent, percent, &mut random);
                let run = run(version, known(&kept));
                assert_eq!((run.lost, run.recovered), (lost, 0), "{version} {model:?} {percent} % {seed}");
                assert_eq!(run.tracker.model(), Some(model));
            }
        }
    }
}

#[test]
fn reordered_within_8_messages_the_net_loss_is_exact() {
    for seed in SEEDS {
        for &(version, model) in EXPORTERS {
            for (percent, late_percent) in [(0, 10), (0, 100), (2, 10), (10, 10), (2, 100), (10, 50)] {
                let mut random = Xorshift(seed);
                let sent = exported(model, u32::MAX - 5_000, N_MESSAGES, &mut random);
                let (kept, lost) = drop_some(model, sent, percent, &mut random);
                let mut delayed: Vec<_> = kept.iter().copied().enumerate().collect();
                let n_kept = kept.len();
                delayed.sort_by_cached_key(|&(index, _)| {
                    let is_moved =
                        (N_CALM..n_kept - 2 * N_CALM).contains(&index) && random.below(100) < late_percent;
                    index + if is_moved { random.below(9) as usize } else { 0 }
                });
                let delayed: Vec<_> = delayed.into_iter().map(|(_, message)| message).collect();
                let run = run(version, known(&delayed));
                let net = run.lost.cast_signed() - run.recovered.cast_signed();
                let context = format!("{version} {model:?} {percent} % {late_percent} % late, {seed}");
                assert_eq!(net, lost.cast_signed(), "{context}");
            }
        }
    }
}

use Kind::{Duplicate, First, Gap, InOrder, Learning, Reordered, Reset};

/// Ten export packets of v9 from 1, then what a test is about.
fn after_ten(then: &[u32]) -> Vec<(u32, u32)> {
    (1..=10).chain(then.iter().copied()).map(|sequence| (sequence, 1)).collect()
}

#[test]
fn nothing_is_reported_while_learning() {
    check(9, &[(1, 1), (2, 1), (7, 1), (8, 1)], (0, 0), &[First, Learning, Learning, Learning]);
    // Explained before and four times after: now it is proved.
    check(9, &after_ten(&[])[..5], (0, 0), &[Learning, InOrder]);
    let learned_late = [(1, 1), (2, 1), (7, 1), (8, 1), (9, 1), (10, 1), (11, 1)];
    check(9, &learned_late, (4, 0), &[Learning, InOrder]);
    // Nothing says that what came before belongs to the same count.
    check(9, &[(1, 1), (7, 1), (8, 1), (9, 1), (10, 1), (11, 1)], (0, 0), &[Learning, InOrder]);
}

#[test]
fn a_late_message_takes_its_loss_back() {
    check(9, &after_ten(&[13, 11, 12, 14]), (2, 2), &[Gap, Reordered, Reordered, InOrder]);
    check(9, &after_ten(&[15, 12, 16]), (4, 1), &[Gap, Reordered, InOrder]);
    // While two models explain all, what both prove: 5 of 7, as 7 or 5 precede 37.
    let same: Vec<_> = (0..10).map(|i| (3 * i, 3)).collect();
    let late = [(37, 5), (30, 7), (42, 1)];
    check(5, &[&same[..], &late].concat(), (5, 5), &[Gap, Reordered, InOrder]);
    let varied: Vec<_> = (0..10).map(|i| (3 * i + i % 2, 4 - 2 * (i % 2))).collect();
    check(5, &[&varied[..], &late].concat(), (7, 7), &[Gap, Reordered, InOrder]);
}

#[test]
fn a_duplicate_is_no_loss() {
    check(9, &after_ten(&[10, 11]), (0, 0), &[Duplicate, InOrder]);
    check(9, &after_ten(&[8, 9, 10, 11]), (0, 0), &[Duplicate, Duplicate, Duplicate, InOrder]);
    // The second copy of a late one.
    check(9, &after_ten(&[12, 11, 11, 13]), (1, 1), &[Gap, Reordered, Duplicate, InOrder]);
}

#[test]
fn the_count_wraps() {
    let around = |i: u32| (u32::MAX.wrapping_sub(19).wrapping_add(4 * i), 4);
    check(10, &(0..10).map(around).collect::<Vec<_>>(), (0, 0), &[InOrder]);
    let without: Vec<_> = (0..12).filter(|&i| i != 5).map(around).collect();
    check(10, &without, (4, 0), &[Gap, InOrder, InOrder, InOrder, InOrder, InOrder]);
}

#[test]
fn a_restart_is_no_loss() {
    let long = |then: &[u32]| -> Vec<_> {
        (90_000..90_010).chain(then.iter().copied()).map(|sequence| (sequence, 1)).collect()
    };
    check(9, &long(&[1, 2, 3, 4, 5]), (0, 0), &[Reset, InOrder, InOrder, InOrder, InOrder]);
    // What is lost after it counts again once it is certain.
    check(9, &long(&[1, 2, 3, 4, 5, 8]), (2, 0), &[InOrder, Gap]);
    // Forward, further than any loss.
    check(9, &long(&[1 << 20, 1 + (1 << 20)]), (0, 0), &[Reset, InOrder]);
    // Near 0 in a young stream looks like repetition until it goes on.
    check(9, &after_ten(&[1, 2, 3, 4, 5]), (0, 0), &[Duplicate, Duplicate, Duplicate, Reset, InOrder]);
    // One stray message is none: the stream goes on where it was, and loses.
    check(9, &long(&[5, 90_010, 90_012]), (1, 0), &[Reset, InOrder, Gap]);
}

#[test]
fn unknown_records_skip_one_comparison() {
    let mut messages: Vec<_> = (0..12).map(|i| (3 * i, Some(3))).collect();
    messages[9].1 = None;
    let seen = run(5, messages.clone());
    assert_eq!((seen.lost, &seen.kinds[8..]), (0, &[InOrder; 4][..]));
    // The loss right after it can't be told; one before it can.
    messages.remove(10);
    assert_eq!(run(5, messages.clone()).lost, 0);
    messages.remove(8);
    assert_eq!(run(5, messages).lost, 3);
}

#[test]
fn a_number_that_never_counts_says_nothing() {
    let seen = run(10, (0..100).map(|i| (0, Some(1 + i % 7))));
    assert_eq!((seen.lost, seen.tracker.model()), (0, Some(Model::Constant)));
    let seen = run(9, (0..100).map(|_| (77, None)));
    assert_eq!((seen.lost, seen.tracker.model()), (0, Some(Model::Constant)));
}

#[test]
fn a_count_of_no_known_model_never_loses() {
    for version in [5, 9, 10] {
        for step in [100, 1_000, 1_000_000, u32::MAX] {
            let mut random = Xorshift(u64::from(step) + 7);
            let mut sequence = 0_u32;
            let seen = run(
                version,
                (0..100_000).map(|_| {
                    sequence = sequence.wrapping_add(random.below(step));
                    (sequence, Some(1 + random.below(30)))
                }),
            );
            assert_eq!((seen.lost, seen.recovered), (0, 0), "v{version}, steps below {step}");
        }
    }
}

#[test]
fn another_program_at_the_same_address_is_learned_without_loss() {
    for &(version, before) in EXPORTERS {
        for &(_, after) in EXPORTERS.iter().filter(|&&(other, _)| other == version) {
            let mut random = Xorshift(42);
            let mut messages = exported(before, 1_000_000, 500, &mut random);
            messages.extend(exported(after, 0, 500, &mut random));
            let seen = run(version, known(&messages));
            assert_eq!((seen.lost, seen.recovered), (0, 0), "{version} {before:?} then {after:?}");
            assert_eq!(seen.tracker.model(), Some(after));
        }
    }
}

#[test]
fn templates_of_ovs_take_a_number_in_another_domain() {
    // Every 600 s: 18 messages of templates with the next number, then options
    // data with that number in domain 0, then data here.
    let mut messages: Vec<_> = (2..50).map(|sequence| (sequence, 1 + sequence % 3)).collect();
    messages.extend([(50, 0); 18]);
    messages.extend([(51, 2), (52, 1), (53, 3)]);
    check(10, &messages, (0, 0), &[InOrder; 21]);
    let after = messages.len() - 3;
    messages.remove(after);
    check(10, &messages, (1, 0), &[Gap, InOrder]);
}

#[test]
fn options_data_softflowd_does_not_count_is_no_loss() {
    let mut messages = exported(Model::LastRecord, 0, 60, &mut Xorshift(3));
    for (_, n_records) in messages.iter_mut().step_by(20) {
        *n_records += 1;
    }
    check(10, &messages, (0, 0), &[InOrder; 50]);
}

#[test]
fn another_version_starts_anew() {
    let mut tracker = SequenceTracker::default();
    for sequence in 0..20 {
        tracker.observe(9, sequence, Some(5));
    }
    assert_eq!(tracker.observe(10, 500, Some(5)).kind, First);
    let seen = tracker.observe(10, 505, Some(5));
    assert_eq!((seen.lost, seen.kind, seen.unit), (0, Learning, Unit::Unknown));
}

#[test]
fn hostile_numbers_never_take_back_more_than_was_lost() {
    for seed in 1..=200 {
        let mut random = Xorshift(seed);
        let mut tracker = SequenceTracker::default();
        let (mut sequence, mut net) = (random.below(u32::MAX), 0_i64);
        let version = [5, 9, 10][random.below(3) as usize];
        for _ in 0..5_000 {
            let n_records = match random.below(20) {
                0 => None,
                1 => Some(random.below(u32::MAX)),
                _ => Some(random.below(4)),
            };
            let seen = tracker.observe(version, sequence, n_records);
            net += seen.lost.cast_signed() - seen.recovered.cast_signed();
            assert!(0 <= net, "seed {seed}");
            sequence = match random.below(40) {
                0 => sequence.wrapping_sub(random.below(20)),
                1 => sequence.wrapping_add(random.below(200_000)),
                2 => random.below(u32::MAX),
                3 => sequence.wrapping_add(random.below(20)),
                4 => sequence,
                _ => sequence.wrapping_add(n_records.unwrap_or(1)),
            };
        }
    }
}
