//! Pairs records of two decoders and says in which fields they differ.

use std::collections::{BTreeMap, VecDeque};

use crate::record::{Decoded, Foreign, Record, is_same, under_our_names};

/// How a field differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// Only we have it.
    Ours,
    /// Only the other decoder has it.
    Theirs,
    /// Both do, with different values.
    Value,
}

/// What kind of record and field, and how it differs.
pub(crate) type Key = (&'static str, String, How);

/// Differences of a case with one example each.
#[derive(Debug, Default)]
pub(crate) struct Differences(pub(crate) BTreeMap<Key, (usize, String, String)>);

impl Differences {
    pub(crate) fn add(&mut self, kind: &'static str, field: &str, how: How, ours: &str, theirs: &str) {
        let example = || (0, ours.to_owned(), theirs.to_owned());
        self.0.entry((kind, field.to_owned(), how)).or_insert_with(example).0 += 1;
    }

    /// Numbers of records.
    pub(crate) fn add_count(&mut self, kind: &'static str, ours: usize, theirs: usize) {
        if ours != theirs {
            self.add(kind, "count", How::Value, &ours.to_string(), &theirs.to_string());
        }
    }

    /// Fields of a pair of records, both under our names.
    pub(crate) fn add_pair(&mut self, kind: &'static str, ours: &Record, theirs: &Record) {
        for (field, value) in ours {
            match theirs.get(field) {
                // A field of no length shows nowhere else.
                None if value.is_empty() => {}
                None => self.add(kind, field, How::Ours, value, ""),
                Some(other) if !is_same(field, value, other) => {
                    self.add(kind, field, How::Value, value, other)
                }
                Some(_) => {}
            }
        }
        for (field, value) in theirs.iter().filter(|(field, _)| !ours.contains_key(*field)) {
            self.add(kind, field, How::Theirs, "", value);
        }
    }

    /// Records that only one of both has.
    fn add_alone<'a>(
        &mut self,
        kind: &'static str,
        ours: &[&Record],
        theirs: impl Iterator<Item = &'a Record>,
    ) {
        for record in ours {
            self.add(kind, "record", How::Ours, &format!("{record:?}"), "");
        }
        for record in theirs {
            self.add(kind, "record", How::Theirs, "", &format!("{record:?}"));
        }
    }
}

/// What tells messages apart.
const MESSAGE: [&str; 5] =
    ["exporter_addr", "export_version", "observation_domain", "sequence", "export_time"];

/// Compares decoders that tell of each record which message it is from; returns the
/// records that only we have.
pub(crate) fn by_message(
    kind: &'static str,
    ours: &[Record],
    theirs: &[Foreign],
    out: &mut Differences,
) -> Vec<Record> {
    let mut all_alone = Vec::new();
    let of = |record: &Record| MESSAGE.map(|name| record.get(name).cloned());
    let mut groups = BTreeMap::<_, (Vec<&Record>, Vec<&Foreign>)>::new();
    for record in ours {
        groups.entry(of(record)).or_default().0.push(record);
    }
    for record in theirs {
        let mut head = of(&record.head);
        // A decoder that does not say who sent it.
        if head[0].is_none() {
            head[0] = ours.first().and_then(|record| record.get("exporter_addr").cloned());
        }
        groups.entry(head).or_default().1.push(record);
    }
    for (ours, theirs) in groups.into_values() {
        // The same message can come twice, in part or whole: what is alike belongs together.
        let mut rest: VecDeque<_> = theirs.into();
        let mut alone = Vec::new();
        for record in ours {
            match most_alike(record, &rest).and_then(|at| rest.remove(at)) {
                Some(theirs) => {
                    let mut theirs = under_our_names(theirs, record);
                    theirs
                        .entry("exporter_addr".to_owned())
                        .or_insert_with(|| record["exporter_addr"].clone());
                    out.add_pair(kind, record, &theirs);
                }
                None => alone.push(record),
            }
        }
        let rest: Vec<_> = rest.iter().map(|theirs| under_our_names(theirs, &Record::new())).collect();
        out.add_alone(kind, &alone, rest.iter());
        all_alone.extend(alone.into_iter().cloned());
    }
    all_alone
}

/// Which of a few is most like `ours`: mostly the first.
fn most_alike(ours: &Record, theirs: &VecDeque<&Foreign>) -> Option<usize> {
    const LOOK_AHEAD: usize = 40;
    let mut best = None;
    for (at, theirs) in theirs.iter().take(LOOK_AHEAD).enumerate() {
        let theirs = under_our_names(theirs, ours);
        let n_alike = ours.iter().filter(|(field, value)| theirs.get(*field) == Some(value)).count();
        if best.is_none_or(|(most, _)| n_alike > most) {
            best = Some((n_alike, at));
        }
        if n_alike == ours.len() {
            break;
        }
    }
    best.map(|(_, at)| at)
}

/// Compares with a few records that somebody shows: each with one of ours that is
/// most like it. Where nothing is said of the message, and of enterprises' elements
/// that go by names of theirs, nothing is compared.
pub(crate) fn some(ours: &Decoded<Record>, theirs: &[Foreign], out: &mut Differences) {
    let mut rest: Vec<_> = ours.flows.iter().map(|record| ("flow", record)).collect();
    rest.extend(ours.options.iter().map(|record| ("option", record)));
    for foreign in theirs {
        let alike = |record: &Record| {
            let theirs = under_our_names(foreign, record);
            record
                .iter()
                .filter(|(field, value)| theirs.get(*field).is_some_and(|it| is_same(field, value, it)))
                .count()
        };
        let best = rest.iter().enumerate().max_by_key(|(at, (_, record))| (alike(record), usize::MAX - at));
        let Some((kind, record)) = best.map(|(at, _)| at).map(|at| rest.remove(at)) else {
            out.add("flow", "record", How::Theirs, "", &format!("{foreign:?}"));
            continue;
        };
        let mut theirs = under_our_names(foreign, record);
        theirs.retain(|field, _| !field.starts_with('?'));
        let mut ours = record.clone();
        let is_said = |field: &str| {
            let is_of_enterprise = field.contains(':') || field.parse::<u16>().is_ok_and(|id| id > 0x7fff);
            let is_of_message = MESSAGE.contains(&field) || field.starts_with("engine_");
            theirs.contains_key(field) || !(is_of_enterprise || is_of_message)
        };
        ours.retain(|field, _| is_said(field));
        out.add_pair(kind, &ours, &theirs);
    }
}

/// Compares decoders that do not: what is alike in all of `keys` belongs together,
/// in order; for what is left, fewer of them must be. Both sides are under our names.
pub(crate) fn by_fields(
    kind: &'static str,
    ours: &[Record],
    theirs: &[Record],
    keys: &[&[&str]],
    out: &mut Differences,
) {
    let mut ours: Vec<_> = ours.iter().collect();
    let mut theirs: Vec<_> = theirs.iter().collect();
    ours = pair(ours, &mut theirs, |record| format!("{record:?}"), |_, _| {});
    for names in keys {
        // The loosest is for records that all have one to pair with.
        if names.len() < 2 && ours.len() != theirs.len() {
            break;
        }
        let key = |record: &Record| format!("{:?}", names.map_fields(record));
        ours = pair(ours, &mut theirs, key, |ours, theirs| out.add_pair(kind, ours, theirs));
    }
    out.add_alone(kind, &ours, theirs.into_iter());
}

trait MapFields {
    fn map_fields(&self, record: &Record) -> Vec<Option<String>>;
}

impl MapFields for &[&str] {
    fn map_fields(&self, record: &Record) -> Vec<Option<String>> {
        self.iter().map(|name| record.get(*name).cloned()).collect()
    }
}

/// Pairs records of one key in order; returns ours that are left, and leaves theirs.
fn pair<'a>(
    ours: Vec<&'a Record>,
    theirs: &mut Vec<&'a Record>,
    key: impl Fn(&Record) -> String,
    mut each: impl FnMut(&Record, &Record),
) -> Vec<&'a Record> {
    let mut waiting = BTreeMap::<String, VecDeque<usize>>::new();
    for (index, record) in theirs.iter().enumerate() {
        waiting.entry(key(record)).or_default().push_back(index);
    }
    let mut is_paired = vec![false; theirs.len()];
    let left = ours.into_iter().filter(|record| {
        let found = waiting.get_mut(&key(record)).and_then(VecDeque::pop_front);
        if let Some(index) = found {
            is_paired[index] = true;
            each(record, theirs[index]);
        }
        found.is_none()
    });
    let left = left.collect();
    let mut index = 0;
    theirs.retain(|_| {
        index += 1;
        !is_paired[index - 1]
    });
    left
}
