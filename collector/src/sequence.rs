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
mod tests;
