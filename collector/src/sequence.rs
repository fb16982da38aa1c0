//! Losses between exporter and collector, read from sequence numbers.
//!
//! The RFCs say what a sequence number counts; exporters do otherwise. So a
//! tracker holds several models against each other and believes the one that
//! explains what arrives. A loss is reported when every model still in the race
//! proves at least that much; what a model alone would add is kept back until it
//! is alone. An exporter that fits no model never yields a loss.
//!
//! Under a model a message takes a span of numbers, `[start, end)`. Where the span
//! begins relative to the end of the newest message says everything: at it (in
//! order), beyond it (gap), before it (late, duplicate or restart).
//!
//! **Invariant:** no clock, no allocation, nothing but numbers: the same messages
//! in the same order give the same observations.
//! **Invariant:** nothing here reaches a template or a record; it only counts.

use flow_common::limits::{
    SEQUENCE_GAP_MESSAGES_MAX, SEQUENCE_GAP_RECORDS_MAX, SEQUENCE_HOLES_MAX, SEQUENCE_LATE_MESSAGES_MAX,
    SEQUENCE_LATE_RECORDS_MAX,
};

/// Consecutive messages one model must explain before it is believed. By chance a
/// wrong model explains a message of 1 to 30 records once in 30, so four in a row
/// about once in a million messages.
const STABLE_MESSAGES: u8 = 4;
/// Points for a message explained. A gap costs one, so that a model that was once
/// believed stands losses of up to two messages in three.
const EXPLAINED_POINTS: u8 = 2;
/// Points from which a model is believed, until it has none.
const STABLE_POINTS: u8 = STABLE_MESSAGES * EXPLAINED_POINTS;
/// Most points a model can collect: so many gaps in a row end its standing. An
/// outage is one gap; a new exporter at the same address is a row of them.
const POINTS_MAX: u8 = 64;
/// Points a model loses when another one explains a message and it does not, or
/// when the sequence leaves for somewhere else. More than one: real losses fit
/// another model only by chance.
const CONTRADICTION_POINTS: u8 = 4;
/// Points behind the best that leave a model in the race: one contradiction, which
/// a real loss can cause by chance.
const BEHIND_POINTS_MAX: u8 = CONTRADICTION_POINTS + EXPLAINED_POINTS;

/// Messages that must follow an outlier before it counts as a restart. A copy of
/// the stream on a slower path repeats a few in a row, too.
const RESTART_MESSAGES: u8 = 3;
/// Messages Open vSwitch numbers in domain 0 (options data) while it sends its
/// templates in the domain of the data, where the number then is missing.
const REFRESH_MESSAGES: i32 = 1;
const MODELS_MAX: usize = 4;
const N_UNKNOWN: u32 = u32::MAX;

/// Of one message under each model, in the order of `models(version)`.
type Distances = [Option<i32>; MODELS_MAX];

const _: () = assert!(STABLE_POINTS < POINTS_MAX && BEHIND_POINTS_MAX < POINTS_MAX);

/// What a lost number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Flow records of NetFlow v5.
    Flows,
    /// Export packets of NetFlow v9.
    Packets,
    /// Data records of IPFIX, options data included (RFC 7011 §3.1).
    Records,
    /// IPFIX messages, of exporters that count those.
    Messages,
    /// Not learned yet, or the exporter does not count.
    Unknown,
}

impl Unit {
    /// All of them, in order of their number.
    pub(crate) const ALL: [Self; 5] =
        [Self::Flows, Self::Packets, Self::Records, Self::Messages, Self::Unknown];

    /// Name in metrics and in the metadata of files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Packets => "packets",
            Self::Records => "records",
            Self::Messages => "messages",
            Self::Unknown => "unknown",
        }
    }
}

/// How a message relates to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing to compare with: the first message, or the first of another version.
    First,
    /// The next one, or one that can't be judged because records were not decoded.
    InOrder,
    /// Numbers are missing before this message. `lost` says how many were proved
    /// by now, which can be 0 while two models disagree.
    Gap,
    /// Late: it lies in an earlier gap, whose loss it takes back in part or whole.
    Reordered,
    /// Its numbers have been seen before (or its gap was forgotten).
    Duplicate,
    /// The exporter counts from somewhere else. What was lost meanwhile is unknown.
    Reset,
    /// No model is believed yet, so nothing is reported.
    Learning,
}

/// What one message told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observation {
    /// Units newly proved lost. May belong to an earlier message than this one.
    pub(crate) lost: u64,
    /// Units reported lost before that now arrived.
    pub(crate) recovered: u64,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
}

/// What an exporter's sequence number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// Number of the message's first record: RFC 7011 §3.1, and NetFlow v5.
    FirstRecord,
    /// Records up to the end of the message: Open vSwitch v5, softflowd IPFIX.
    LastRecord,
    /// Number of the message: RFC 3954 §5.1. Open vSwitch IPFIX, where messages
    /// without data take no number.
    Message,
    /// Never counts.
    Constant,
}

/// Models of a version; the rule of its RFC comes first and wins a draw.
const fn models(version: u16) -> &'static [Model] {
    match version {
        5 | 7 => &[Model::FirstRecord, Model::LastRecord, Model::Constant],
        9 => &[Model::Message, Model::Constant],
        _ => &[Model::FirstRecord, Model::Message, Model::LastRecord, Model::Constant],
    }
}

impl Model {
    const fn unit(self, version: u16) -> Unit {
        match (self, version) {
            (Self::Constant, _) => Unit::Unknown,
            (Self::Message, 9) => Unit::Packets,
            (Self::Message, _) => Unit::Messages,
            (Self::FirstRecord | Self::LastRecord, 5 | 7) => Unit::Flows,
            (Self::FirstRecord | Self::LastRecord, _) => Unit::Records,
        }
    }

    /// Largest gap, and how far back a late message may lie.
    const fn bounds(self) -> (u32, u32) {
        match self {
            Self::Message => (SEQUENCE_GAP_MESSAGES_MAX, SEQUENCE_LATE_MESSAGES_MAX),
            _ => (SEQUENCE_GAP_RECORDS_MAX, SEQUENCE_LATE_RECORDS_MAX),
        }
    }
}

/// The header of a message, as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
struct Message {
    version: u16,
    sequence: u32,
    /// Data records, or `N_UNKNOWN`.
    n_records: u32,
}

impl Message {
    fn is_empty(self) -> bool {
        self.n_records == 0
    }

    /// First number of the span it takes; `None` when its records are not known.
    fn start(self, model: Model) -> Option<u32> {
        match model {
            Model::LastRecord if self.n_records == N_UNKNOWN => None,
            Model::LastRecord => Some(self.sequence.wrapping_sub(self.n_records)),
            _ => Some(self.sequence),
        }
    }

    /// First number after its span.
    fn end(self, model: Model) -> Option<u32> {
        match model {
            Model::FirstRecord if self.n_records == N_UNKNOWN => None,
            Model::FirstRecord => Some(self.sequence.wrapping_add(self.n_records)),
            // What could not be decoded was data all the same.
            Model::Message if self.version == 9 || !self.is_empty() => Some(self.sequence.wrapping_add(1)),
            Model::Message | Model::LastRecord | Model::Constant => Some(self.sequence),
        }
    }

    /// Numbers between the end of `newest` and this message: 0 in order, above 0 a
    /// gap, below 0 behind. `None` when it can't be told.
    fn distance(self, newest: Self, model: Model) -> Option<i32> {
        let distance = difference(self.start(model)?, newest.end(model)?);
        let is_refresh = model == Model::Message && self.version != 9 && newest.is_empty();
        Some(if is_refresh && 0 < distance { distance - REFRESH_MESSAGES } else { distance })
    }

    /// Whether coming right after `newest` speaks for a model: templates alone
    /// take no number under most, so they tell nothing.
    fn is_evidence(self, newest: Self, model: Model) -> bool {
        let has_moved = self.sequence != newest.sequence;
        match model {
            Model::Constant => !has_moved && !self.is_empty() && !newest.is_empty(),
            Model::Message if self.version != 9 => has_moved && !newest.is_empty(),
            _ => has_moved,
        }
    }
}

/// `a − b` modulo 2^32, as the nearer of the two directions.
fn difference(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// Numbers from `start` to before `end`, modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// Where a message lies under the model believed most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In order, or forward by what can't be judged.
    Next,
    /// Begins before the end of the newest and ends after it: softflowd's options
    /// data, which it does not count.
    Overlap,
    Gap(Span),
    /// In the hole of that index.
    Late(usize, Span),
    Repeated,
    Elsewhere,
    /// Follows the last message that was repeated or elsewhere.
    AfterOutlier,
}

/// Sequence of one observation domain of one transport session.
#[derive(Debug, Clone, Default)]
pub(crate) struct SequenceTracker {
    /// Version 0 before the first message.
    newest: Message,
    /// End of the last message that lay behind or elsewhere, and how many came in
    /// a row from there.
    outlier_end: u32,
    outlier_run: u8,
    is_outlier_far: bool,
    is_stable: bool,
    /// The last gap was none to another model; a message must decide between them.
    is_contested: bool,
    /// Index into `models(version)`.
    leader: u8,
    points: [u8; MODELS_MAX],
    /// Loss under each model that is not reported. Beyond 65,535 it is not kept.
    held: [u16; MODELS_MAX],
    /// Gaps that may fill, oldest first; only the newest 65,535 numbers of each.
    hole_starts: [u32; SEQUENCE_HOLES_MAX],
    hole_lengths: [u16; SEQUENCE_HOLES_MAX],
    n_holes: u8,
}

impl SequenceTracker {
    /// The model believed, once there is one.
    pub(crate) fn model(&self) -> Option<Model> {
        self.is_stable.then(|| self.leading())
    }

    /// Takes the header of one message. `n_records` counts its data records,
    /// options data included; `None` when a set of it could not be decoded.
    pub(crate) fn observe(&mut self, version: u16, sequence: u32, n_records: Option<u32>) -> Observation {
        let message = Message { version, sequence, n_records: n_records.unwrap_or(N_UNKNOWN) };
        if self.newest.version != version {
            *self = Self { newest: message, ..Self::default() };
            return Observation { lost: 0, recovered: 0, unit: Unit::Unknown, kind: Kind::First };
        }
        let distances = std::array::from_fn(|index| {
            self.models().get(index).and_then(|&model| message.distance(self.newest, model))
        });
        let is_explained = self.weigh(message, &distances);
        let place = self.place(message);
        let losses = self.losses(place, &distances);
        let is_loss = 0 < losses[usize::from(self.leader)];
        let (kind, filled) = self.settle(message, place, is_explained, is_loss);
        self.judge(&distances, is_explained, is_loss);
        let (lost, recovered) = self.account(losses, filled);
        let unit = self.model().map_or(Unit::Unknown, |model| model.unit(version));
        let kind = if self.is_stable { kind } else { Kind::Learning };
        Observation { lost: lost.into(), recovered: recovered.into(), unit, kind }
    }

    fn models(&self) -> &'static [Model] {
        models(self.newest.version)
    }

    fn leading(&self) -> Model {
        self.models()[usize::from(self.leader)]
    }

    fn is_in_race(&self, index: usize) -> bool {
        let points = self.points[index];
        let is_near = self.points[usize::from(self.leader)] - points <= BEHIND_POINTS_MAX;
        !self.is_stable || (0 < points && is_near)
    }

    /// Gives and takes points where one model explains the message and another
    /// does not. False when none explains it, which speaks against none of them.
    fn weigh(&mut self, message: Message, distances: &Distances) -> bool {
        let explains = |(index, &model): (usize, &Model)| {
            distances[index] == Some(0) && message.is_evidence(self.newest, model)
        };
        if !self.models().iter().enumerate().any(explains) {
            return false;
        }
        let (leader, n_models) = (usize::from(self.leader), self.models().len());
        // Nobody catches up with a leader that is right as well: who was
        // contradicted stays behind until the leader is.
        let is_right = distances[leader] == Some(0);
        let gain = if is_right { self.gain_max() } else { EXPLAINED_POINTS };
        for (points, distance) in self.points.iter_mut().zip(distances).take(n_models) {
            *points = match *distance {
                // What can't be told is no fault.
                Some(0) | None => POINTS_MAX.min(*points + gain),
                Some(_) => points.saturating_sub(CONTRADICTION_POINTS),
            };
        }
        self.elect();
        true
    }

    /// Points the leader has room for, at most those for one message.
    fn gain_max(&self) -> u8 {
        EXPLAINED_POINTS.min(POINTS_MAX - self.points[usize::from(self.leader)])
    }

    /// The model with the most points leads; in a draw the first.
    fn elect(&mut self) {
        // `max_by_key` takes the last of equals.
        let indices = (0..self.models().len()).rev();
        let Some(best) = indices.max_by_key(|&index| self.points[index]) else { return };
        if best != usize::from(self.leader) {
            self.leader = best as u8;
            // Spans of another model mean nothing to this one.
            (self.n_holes, self.outlier_run) = (0, 0);
            self.is_stable &= STABLE_POINTS <= self.points[best];
        }
    }

    fn place(&self, message: Message) -> Place {
        let model = self.leading();
        let (gap_max, late_max) = model.bounds();
        let (Some(start), Some(newest_end)) = (message.start(model), self.newest.end(model)) else {
            let moved = difference(message.sequence, self.newest.sequence);
            return match moved {
                0.. if moved.cast_unsigned() <= gap_max => Place::Next,
                _ if moved.unsigned_abs() <= late_max => Place::Repeated,
                _ => Place::Elsewhere,
            };
        };
        let distance = message.distance(self.newest, model).unwrap_or(0);
        if distance == 0 {
            return Place::Next;
        }
        if self.follows_outlier(start, distance) {
            return Place::AfterOutlier;
        }
        if model == Model::Constant {
            return Place::Elsewhere;
        }
        if 0 < distance {
            let is_gap = distance.cast_unsigned() <= gap_max;
            let hole = Span { start: start.wrapping_sub(distance.cast_unsigned()), end: start };
            return if is_gap { Place::Gap(hole) } else { Place::Elsewhere };
        }
        let span = Span { start, end: message.end(model).unwrap_or(start) };
        let is_later = 0 < difference(message.sequence, self.newest.sequence);
        if is_later || 0 < difference(span.end, newest_end) {
            return Place::Overlap;
        }
        if let Some(hole) = self.hole_of(span) {
            return Place::Late(hole, span);
        }
        if distance.unsigned_abs() <= late_max { Place::Repeated } else { Place::Elsewhere }
    }

    /// Whether a message goes on from the outlier rather than from the newest.
    fn follows_outlier(&self, start: u32, distance: i32) -> bool {
        let ahead = start.wrapping_sub(self.outlier_end);
        0 < self.outlier_run && ahead <= self.leading().bounds().0 && ahead < distance.unsigned_abs()
    }

    fn hole_of(&self, span: Span) -> Option<usize> {
        let n = span.end.wrapping_sub(span.start);
        (0..usize::from(self.n_holes)).find(|&hole| {
            let offset = span.start.wrapping_sub(self.hole_starts[hole]);
            let length = u32::from(self.hole_lengths[hole]);
            0 < n && offset < length && n <= length - offset
        })
    }

    /// What the message says is lost under each model. While learning, a model must
    /// have explained the message before a gap and every one after it, so only the
    /// last gap can count.
    fn losses(&mut self, place: Place, distances: &Distances) -> [u32; MODELS_MAX] {
        let mut losses = [0; MODELS_MAX];
        if !matches!(place, Place::Next | Place::Overlap | Place::Gap(_)) {
            return losses;
        }
        for (index, &model) in self.models().iter().enumerate() {
            let Some(distance @ 1..) = distances[index] else { continue };
            if !self.is_stable {
                (self.held[index], self.n_holes) = (0, 0);
            }
            let is_gap = model != Model::Constant && distance.cast_unsigned() <= model.bounds().0;
            if is_gap && 0 < self.points[index] {
                losses[index] = distance.cast_unsigned();
            }
        }
        losses
    }

    /// Moves on; returns the kind, and how many numbers of a hole were filled.
    fn settle(&mut self, message: Message, place: Place, is_explained: bool, is_loss: bool) -> (Kind, u32) {
        match place {
            Place::Late(hole, span) => {
                self.fill_hole(hole, span);
                self.outlier_run = 0;
                // What looked like a loss was none: that speaks for the model.
                self.trust();
                return (Kind::Reordered, span.end.wrapping_sub(span.start));
            }
            Place::Repeated => return (self.leave(message, false), 0),
            Place::Elsewhere => return (self.leave(message, true), 0),
            Place::AfterOutlier => return (self.follow(message), 0),
            Place::Next | Place::Overlap | Place::Gap(_) => {}
        }
        (self.newest, self.outlier_run) = (message, 0);
        if place != Place::Next && !is_explained {
            self.doubt(1);
        }
        let Place::Gap(span) = place else { return (Kind::InOrder, 0) };
        if is_loss {
            self.open_hole(span);
        }
        (Kind::Gap, 0)
    }

    /// Remembers a message that does not fit, without believing it yet: one stray
    /// datagram must not move what the next one is compared with.
    fn leave(&mut self, message: Message, is_far: bool) -> Kind {
        (self.outlier_run, self.is_outlier_far) = (1, is_far);
        self.outlier_end = message.end(self.leading()).unwrap_or(message.sequence);
        if is_far {
            self.doubt(CONTRADICTION_POINTS);
        }
        if !self.is_stable {
            // A gap seen before may be what this message fills.
            self.forget();
            if is_far {
                (self.newest, self.outlier_run) = (message, 0);
            }
        }
        if is_far { Kind::Reset } else { Kind::Duplicate }
    }

    fn follow(&mut self, message: Message) -> Kind {
        self.outlier_end = message.end(self.leading()).unwrap_or(message.sequence);
        self.outlier_run += 1;
        let is_restart = RESTART_MESSAGES < self.outlier_run;
        if is_restart {
            (self.newest, self.outlier_run) = (message, 0);
            self.forget();
        }
        // A far outlier was called a reset at once; a near one only now.
        match (self.is_outlier_far, is_restart) {
            (true, _) => Kind::InOrder,
            (false, true) => Kind::Reset,
            (false, false) => Kind::Duplicate,
        }
    }

    /// What is held and what is missing belonged to a count that ended.
    fn forget(&mut self) {
        (self.held, self.n_holes, self.is_contested) = ([0; MODELS_MAX], 0, false);
    }

    /// Takes points from all models: the message was explained by none. While
    /// learning, all of them.
    fn doubt(&mut self, points: u8) {
        let points = if self.is_stable { points } else { POINTS_MAX };
        for model in &mut self.points {
            *model = model.saturating_sub(points);
        }
    }

    fn trust(&mut self) {
        let gain = self.gain_max();
        for model in self.points.iter_mut().filter(|model| 0 < **model) {
            *model = POINTS_MAX.min(*model + gain);
        }
    }

    /// Believes the leader from `STABLE_POINTS` up, until it has none left. A loss
    /// that another model denied waits for a message only the leader explains.
    fn judge(&mut self, distances: &Distances, is_explained: bool, is_loss: bool) {
        let leader = usize::from(self.leader);
        let is_wrong = |(&model, distance): (&Model, &Option<i32>)| {
            model != Model::Constant && distance.is_some_and(|distance| distance != 0)
        };
        if is_explained && is_loss {
            self.is_contested = true;
        } else if is_explained && distances[leader] == Some(0) {
            self.is_contested &= !self.models().iter().zip(distances).any(is_wrong);
        }
        match self.points[leader] {
            STABLE_POINTS.. => self.is_stable = true,
            0 if self.is_stable => {
                self.is_stable = false;
                self.forget();
            }
            _ => {}
        }
    }

    /// Adds the losses to what is held and reports what all models in the race
    /// agree on; takes back what was filled, first from what is held.
    fn account(&mut self, losses: [u32; MODELS_MAX], filled: u32) -> (u32, u32) {
        let mut held = [0; MODELS_MAX];
        let mut agreed = u32::MAX;
        for index in 0..self.models().len() {
            if self.is_in_race(index) {
                held[index] = u32::from(self.held[index]) + losses[index];
                agreed = agreed.min(held[index]);
            }
        }
        let from_held = filled.min(held[usize::from(self.leader)]);
        let lost = if self.is_stable && !self.is_contested { agreed.saturating_sub(filled) } else { 0 };
        for (index, held) in held.into_iter().enumerate() {
            let rest = u16::try_from(held.saturating_sub(lost + filled));
            self.held[index] = rest.unwrap_or(0);
            if rest.is_err() {
                // A loss never reported must not be taken back.
                self.n_holes = 0;
            }
        }
        (lost, if self.is_stable { filled - from_held } else { 0 })
    }

    fn open_hole(&mut self, span: Span) {
        if usize::from(self.n_holes) == SEQUENCE_HOLES_MAX {
            self.remove_hole(0);
        }
        let hole = usize::from(self.n_holes);
        let length = u16::try_from(span.end.wrapping_sub(span.start)).unwrap_or(u16::MAX);
        (self.hole_starts[hole], self.hole_lengths[hole]) = (span.end.wrapping_sub(length.into()), length);
        self.n_holes += 1;
    }

    /// Takes a span out of the hole that contains it; up to two remain.
    fn fill_hole(&mut self, hole: usize, span: Span) {
        let start = self.hole_starts[hole];
        let end = start.wrapping_add(self.hole_lengths[hole].into());
        self.remove_hole(hole);
        for rest in [Span { start, end: span.start }, Span { start: span.end, end }] {
            if rest.start != rest.end {
                self.open_hole(rest);
            }
        }
    }

    fn remove_hole(&mut self, hole: usize) {
        let n_holes = usize::from(self.n_holes);
        self.hole_starts.copy_within(hole + 1..n_holes, hole);
        self.hole_lengths.copy_within(hole + 1..n_holes, hole);
        self.n_holes -= 1;
    }
}

#[cfg(test)]
mod tests {
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
                    assert_eq!(
                        (run.lost, run.recovered),
                        (lost, 0),
                        "{version} {model:?} {percent} % {seed}"
                    );
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
                        let is_moved = (N_CALM..n_kept - 2 * N_CALM).contains(&index)
                            && random.below(100) < late_percent;
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
}
