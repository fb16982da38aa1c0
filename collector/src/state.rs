//! What a restart needs to decode from the first datagram: templates, sampling
//! rates, boot times, and data that still waits for its template.
//!
//! ```text
//! flowcap-state 3 <crc32c of the rest, 8 hex digits>\n
//! {"sessions":[…],"waiting":[…]}
//! ```
//!
//! **Invariant:** the file is input like any other. Whatever is in it, the worst
//! is a [`StateError`] or a template that never matches: definitions go through
//! the same checks and bounds as those from the network.

use std::collections::HashMap;
use std::net::SocketAddr;

use flow_common::element::ElementKey;
use flow_common::limits;
use flow_common::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::datagram::{ListenerId, Transport};
use crate::decode::{Definition, FieldSpecifier, MessageContext, TimeBase, Uptime};
use crate::journal::ListenerAddr;
use crate::lifetime::{Header, Receipts};
use crate::sampling::SamplingPolicy;
use crate::session::SessionKey;

/// First word of the file, and the version this program writes and reads.
const MAGIC: &str = "flowcap-state";
const VERSION: u32 = 3;

/// Why a state file could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateError {
    #[error("it does not begin as a state file does")]
    Foreign,
    #[error("it is of version {0}, this program knows version {VERSION}")]
    Version(u32),
    #[error("its checksum is {found:08x}, its content has {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    #[error("its content is not what it should be: {0}")]
    Content(String),
}

/// All state of a decoder.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// As of which block: everything before it is in files, everything behind it is
    /// not. `None` without a journal.
    #[serde(default)]
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) sessions: Vec<SessionState>,
    pub(crate) waiting: Vec<WaitingState>,
}

/// A position in a journal: nothing before it needs to be decoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) journal: u64,
    pub(crate) position: u64,
}

impl Checkpoint {
    /// One line of text.
    pub(crate) fn encode(self) -> String {
        let line = format!("{:016x} {}", self.journal, self.position);
        format!("{line} {:08x}\n", crc32c::crc32c(line.as_bytes()))
    }

    /// `None` if it is not such a line.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let (line, crc) = text.rsplit_once(' ')?;
        let (journal, position) = line.split_once(' ')?;
        let is_sound = u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(line.as_bytes());
        let found =
            Self { journal: u64::from_str_radix(journal, 16).ok()?, position: position.parse().ok()? };
        is_sound.then_some(found)
    }
}

/// A session key that means the same in another process: the listener by its
/// address, not by its place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: SocketAddr,
    /// A connection is remembered until the journal tells its end.
    #[serde(default)]
    pub(crate) transport: Transport,
    pub(crate) version: u16,
    pub(crate) domain: u32,
}

/// One session.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionState {
    pub(crate) key: StoredKey,
    pub(crate) rate: Option<i64>,
    pub(crate) samplers: Vec<(u64, i64)>,
    pub(crate) interfaces: Vec<(u64, i64)>,
    #[serde(default)]
    pub(crate) template_rates: Vec<(u64, i64)>,
    pub(crate) init_micros: Option<i64>,
    #[serde(default)]
    pub(crate) uptime: Uptime,
    /// When its last message came.
    pub(crate) heard_micros: i64,
    pub(crate) templates: Vec<TemplateState>,
}

/// One template: `fields` are (enterprise number, element, octets).
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TemplateState {
    pub(crate) id: u16,
    pub(crate) n_scope: Option<u16>,
    pub(crate) fields: Vec<(u32, u16, u16)>,
    /// The message that brought it last.
    pub(crate) received_micros: i64,
    pub(crate) export_micros: i64,
    pub(crate) uptime_ms: Option<u32>,
    pub(crate) sequence: u32,
    /// Messages of its session since.
    pub(crate) age_messages: u64,
    pub(crate) n_refreshes: u32,
    pub(crate) longest_secs: i64,
    pub(crate) longest_messages: u64,
    /// By its connection, whose data of it is no use any more.
    #[serde(default)]
    pub(crate) is_withdrawn: bool,
}

/// The sets of one datagram that wait: `sets` are (template id, octets in hex).
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingState {
    pub(crate) key: StoredKey,
    pub(crate) received_micros: i64,
    pub(crate) export_micros: i64,
    pub(crate) uptime_ms: Option<u32>,
    pub(crate) sequence: u32,
    pub(crate) sets: Vec<(u16, String)>,
}

impl Snapshot {
    /// The file's octets.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // These types always serialise: no map with keys that are not text, no floats.
        let content = serde_json::to_string(self).unwrap_or_default();
        format!("{MAGIC} {VERSION} {:08x}\n{content}", crc32c::crc32c(content.as_bytes())).into_bytes()
    }

    /// Reads a file back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StateError::Foreign)?;
        let (head, content) = text.split_once('\n').ok_or(StateError::Foreign)?;
        let mut words = head.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(StateError::Foreign);
        }
        let version = words.next().and_then(|word| word.parse().ok()).ok_or(StateError::Foreign)?;
        if version != VERSION {
            return Err(StateError::Version(version));
        }
        let found =
            words.next().and_then(|word| u32::from_str_radix(word, 16).ok()).ok_or(StateError::Foreign)?;
        let computed = crc32c::crc32c(content.as_bytes());
        if found != computed {
            return Err(StateError::Checksum { found, computed });
        }
        serde_json::from_str(content).map_err(|error| StateError::Content(error.to_string()))
    }
}

/// Listeners by address and by number, to translate keys.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Vec<ListenerAddr>);

impl Listeners {
    pub(crate) fn new(listeners: Vec<ListenerAddr>) -> Self {
        Self(listeners)
    }

    /// The key as stored; `None` for a listener that is not one of these, and for a
    /// file: what is known of it ends with it (RFC 7011 §8).
    pub(crate) fn store(&self, key: &SessionKey) -> Option<StoredKey> {
        if key.transport == Transport::File {
            return None;
        }
        let listener = self.0.get(usize::from(key.listener.0))?.addr;
        let &SessionKey { peer, transport, version, domain, .. } = key;
        Some(StoredKey { peer, listener, transport, version, domain })
    }

    /// The key in this process; `None` if nothing listens there any more.
    pub(crate) fn load(&self, key: &StoredKey) -> Option<SessionKey> {
        let &StoredKey { peer, listener: addr, transport, version, domain } = key;
        let listener = ListenerAddr { addr, is_stream: transport.is_stream() };
        let index = self.0.iter().position(|known| *known == listener)?;
        let listener = ListenerId(u16::try_from(index).ok()?);
        Some(SessionKey { peer, listener, transport, version, domain })
    }
}

impl TemplateState {
    /// A template of a session that has had `n_messages`.
    pub(crate) fn of(definition: &Definition, receipts: Receipts, n_messages: u64) -> Self {
        let fields = definition.fields.iter().map(|field| (field.key.pen, field.key.id, field.length));
        Self {
            id: definition.id,
            n_scope: definition.n_scope,
            fields: fields.collect(),
            received_micros: receipts.last.received_at.0,
            export_micros: receipts.last.export.0,
            uptime_ms: receipts.last.uptime_ms,
            sequence: receipts.last.sequence,
            age_messages: n_messages.saturating_sub(receipts.last_message),
            n_refreshes: receipts.n_refreshes,
            longest_secs: receipts.longest_secs,
            longest_messages: receipts.longest_messages,
            is_withdrawn: false,
        }
    }

    /// When it came, in a session that has had `n_messages`.
    pub(crate) fn receipts(&self, n_messages: u64) -> Receipts {
        let last = Header {
            received_at: Timestamp(self.received_micros),
            export: Timestamp(self.export_micros),
            uptime_ms: self.uptime_ms,
            sequence: self.sequence,
        };
        Receipts {
            last,
            last_message: n_messages.saturating_sub(self.age_messages),
            n_refreshes: self.n_refreshes,
            longest_secs: self.longest_secs,
            longest_messages: self.longest_messages,
        }
    }

    /// The definition, if the network could have sent it.
    pub(crate) fn definition(&self) -> Option<Definition> {
        let is_sound = self.id >= 256
            && (1..=limits::TEMPLATE_FIELDS_MAX).contains(&self.fields.len())
            && self.n_scope.is_none_or(|n| usize::from(n) <= self.fields.len());
        let field = |&(pen, id, length)| FieldSpecifier { key: ElementKey { pen, id }, length };
        is_sound.then(|| Definition {
            id: self.id,
            n_scope: self.n_scope,
            fields: self.fields.iter().map(field).collect(),
        })
    }
}

impl WaitingState {
    pub(crate) fn new(key: StoredKey, context: &MessageContext) -> Self {
        Self {
            key,
            received_micros: context.received_at.0,
            export_micros: context.time.export.0,
            uptime_ms: context.time.uptime_ms,
            sequence: context.sequence,
            sets: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, template_id: u16, bytes: &[u8]) {
        let hex = bytes.iter().fold(String::with_capacity(2 * bytes.len()), |text, octet| {
            const DIGITS: [char; 16] =
                ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
            let mut text = text;
            text.extend([DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
            text
        });
        self.sets.push((template_id, hex));
    }

    /// What the message said of itself.
    pub(crate) fn context(&self) -> MessageContext {
        MessageContext {
            received_at: Timestamp(self.received_micros),
            peer: self.key.peer,
            version: self.key.version,
            domain: Some(self.key.domain),
            sequence: self.sequence,
            time: TimeBase { export: Timestamp(self.export_micros), uptime_ms: self.uptime_ms, init: None },
            engine: None,
            header_rate: None,
            policy: SamplingPolicy::Announced,
        }
    }

    /// Its sets; `None` if one is not hex or longer than a datagram.
    pub(crate) fn sets(&self) -> Option<Vec<(u16, Box<[u8]>)>> {
        let octets = |text: &str| {
            let is_sound = text.is_ascii()
                && text.len().is_multiple_of(2)
                && text.len() / 2 <= limits::DATAGRAM_BYTES_MAX;
            let pairs =
                (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
            is_sound.then(|| pairs.collect::<Option<Box<[u8]>>>())?
        };
        self.sets.iter().map(|(id, text)| Some((*id, octets(text)?))).collect()
    }
}

/// Groups waiting sets by the datagram they came in, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct WaitingGroups {
    groups: Vec<WaitingState>,
    index: HashMap<u64, usize>,
}

impl WaitingGroups {
    pub(crate) fn add(&mut self, datagram: u64, key: StoredKey, context: &MessageContext, set: (u16, &[u8])) {
        let index = *self.index.entry(datagram).or_insert_with(|| {
            self.groups.push(WaitingState::new(key, context));
            self.groups.len() - 1
        });
        self.groups[index].push(set.0, set.1);
    }

    pub(crate) fn finish(self) -> Vec<WaitingState> {
        self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(id: u16, n_scope: Option<u16>, fields: Vec<(u32, u16, u16)>) -> TemplateState {
        let at = Timestamp::from_secs(1);
        let last = Header { received_at: at, export: at, uptime_ms: Some(7), sequence: 8 };
        let receipts =
            Receipts { last, last_message: 9, n_refreshes: 10, longest_secs: 11, longest_messages: 12 };
        let definition = Definition { id, n_scope, fields: Vec::new() };
        TemplateState { fields, ..TemplateState::of(&definition, receipts, 20) }
    }

    fn snapshot() -> Snapshot {
        let key = StoredKey {
            peer: "192.0.2.1:4000".parse().unwrap(),
            listener: "[::]:4739".parse().unwrap(),
            transport: Transport::Udp,
            version: 10,
            domain: 7,
        };
        let templates = vec![template(256, None, vec![(0, 8, 4), (9, 1, 65535)])];
        let session = SessionState {
            key,
            rate: Some(10),
            samplers: vec![(1, 2)],
            interfaces: vec![(3, 4)],
            template_rates: vec![(256, 5)],
            init_micros: Some(5),
            uptime: Uptime::default(),
            heard_micros: 6,
            templates,
        };
        let mut waiting = WaitingState {
            key,
            received_micros: 1,
            export_micros: 2,
            uptime_ms: None,
            sequence: 3,
            sets: Vec::new(),
        };
        waiting.push(257, &[0, 0xab, 0xff]);
        let checkpoint = Some(Checkpoint { journal: u64::MAX, position: 5 });
        Snapshot { checkpoint, sessions: vec![session], waiting: vec![waiting] }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let snapshot = snapshot();
        let decoded = Snapshot::decode(&snapshot.encode()).unwrap();
        assert_eq!(decoded, snapshot);
        assert_eq!(decoded.waiting[0].sets(), Some(vec![(257, [0, 0xab, 0xff].into())]));
        let definition = decoded.sessions[0].templates[0].definition().unwrap();
        let receipts = decoded.sessions[0].templates[0].receipts(20);
        assert_eq!(TemplateState::of(&definition, receipts, 20), snapshot.sessions[0].templates[0]);
    }

    #[test]
    fn any_damage_is_found() {
        let sound = snapshot().encode();
        for index in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[index] ^= 0x04;
            assert!(Snapshot::decode(&damaged).is_err(), "octet {index}");
            assert!(Snapshot::decode(&sound[..index]).is_err(), "cut at {index}");
        }
        assert_eq!(Snapshot::decode(b"flowcap-state 4 0\n"), Err(StateError::Version(4)));
        assert_eq!(Snapshot::decode(b"GIF89a"), Err(StateError::Foreign));
    }

    #[test]
    fn what_no_network_sends_is_no_definition() {
        let check =
            |id, n_scope, n_fields| template(id, n_scope, vec![(0, 8, 4); n_fields]).definition().is_some();
        assert!(check(256, None, 1) && check(256, Some(1), 1));
        assert!(!check(255, None, 1) && !check(256, None, 0) && !check(256, Some(2), 1));
        assert!(!check(256, None, limits::TEMPLATE_FIELDS_MAX + 1));
    }
}
