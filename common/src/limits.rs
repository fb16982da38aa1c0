//! Every bound, with its unit and its reason. Everything from the network and
//! from disk is hostile; no count read from it is trusted without one of these.

/// Largest UDP payload: 65,535 octets less nothing, so jumbo and reassembled
/// datagrams fit (RFC 7011 §10.3.1 lets a message be that long).
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Datagrams one system call may take. More gains nothing (measured: the call
/// costs less than 5 % at 64) and would delay a shutdown.
pub const RECEIVE_BURST_DATAGRAMS: usize = 64;

/// Fields of one template. Exporters seen use at most 60; 1,024 leaves room and
/// keeps a template below 16 KiB.
pub const TEMPLATE_FIELDS_MAX: usize = 1_024;

/// Templates held at a time, over all sessions and domains: 10,000 exporters
/// with 4 each, and room.
pub const TEMPLATES_MAX: usize = 65_536;

/// Sampling rate an operator may set; nfcapd's.
pub const SAMPLING_RATE_MAX: u32 = 10_000_000;

/// Memory held by templates: 256 MiB. The largest template alone stays far below.
pub const TEMPLATES_BYTES_MAX: usize = 256 << 20;

/// Observation domains whose sampling, boot time and sequence are remembered.
pub const DOMAINS_MAX: usize = 65_536;

/// Samplers remembered for one domain. Seen: 16 (ASR 9000 line cards).
pub const SAMPLERS_PER_DOMAIN_MAX: usize = 256;

/// Data waiting for its template, in memory: 16 MiB, more than 60 s of 88
/// templates' worth of Open vSwitch at 1,000 datagrams a second.
pub const WAITING_BYTES_MAX: usize = 16 << 20;

/// Age after which waiting data is given up, seconds. Templates are resent every
/// 600 s by Cisco's and Open vSwitch's default, and a resend may be lost once.
pub const WAITING_SECS_MAX: i64 = 1_300;

/// How far a stamp may lie after the header that carries it, milliseconds.
/// Juniper stamps up to 160 ms late and Open vSwitch before its own start; an
/// hour covers clocks that were set. Anything beyond is the past, wrapped.
pub const STAMP_AHEAD_MS_MAX: u32 = 3_600_000;

/// Rows of one batch, which becomes one row group.
pub const ROW_GROUP_ROWS: usize = 262_144;

/// Rows of one page of a column.
pub const PAGE_ROWS: usize = 20_000;

/// Octets of `other`, text and binary values in one batch: bounds memory where
/// rows are few and fat.
pub const BATCH_VARIABLE_BYTES_MAX: usize = 64 << 20;

/// Dictionary of one column chunk. Dictionaries matter most for size (measured:
/// 40.5 B a flow without, 26.4 B with); addresses need more than the usual 1 MiB.
pub const DICTIONARY_BYTES_MAX: usize = 8 << 20;

/// Datagrams queued between receiving and decoding, octets. A decoder that
/// falls behind further leaves the rest in the kernel's buffer, which counts
/// what it drops.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Batches queued between decoding and writing. The writer is the slower one;
/// two let it work while the next fills.
pub const WRITER_QUEUE_BATCHES: usize = 2;

/// Socket buffer asked of the kernel, octets; it grants less without
/// `net.core.rmem_max`.
pub const SOCKET_BUFFER_BYTES: usize = 16 << 20;

/// Length of a slot by default, seconds; nfcapd's.
pub const SLOT_SECS_DEFAULT: u32 = 300;

/// Size of a state file that is read at the start, octets: all templates at
/// their limit and all data that may wait, as text, with room.
pub const STATE_BYTES_MAX: u64 = 1 << 30;

/// Longest slot: a file lies wholly in one hour.
pub const SLOT_SECS_MAX: u32 = 3_600;

/// A listener where nothing arrived for this long gets a hint, seconds.
pub const SILENT_LISTENER_SECS: u64 = 30;

/// One log line per (exporter, reason) in this time, seconds; the next says how
/// many were suppressed.
pub const LOG_INTERVAL_SECS: i64 = 60;

/// Pairs of (exporter, reason) the log remembers. A sender can forge addresses,
/// so the oldest go first.
pub const LOG_KEYS_MAX: usize = 4_096;

/// Exporters listed in a file's metadata, by number of records. A sender can
/// forge addresses; the rest is summed up in one line.
pub const FOOTER_EXPORTERS_MAX: usize = 1_024;

/// Nesting of a filter; recursion in the parser ends here.
pub const FILTER_DEPTH_MAX: usize = 256;

/// Length of a filter's text, octets.
pub const FILTER_BYTES_MAX: usize = 1 << 20;

/// Ports listened on without `-p`: NetFlow at Cisco's and Open vSwitch's
/// documentation (2055), IPFIX (4739, RFC 7011 §10.1), nfcapd (9995) and its
/// neighbour (9996).
pub const PORTS_DEFAULT: [u16; 4] = [2055, 4739, 9995, 9996];

const _: () = assert!(PAGE_ROWS <= ROW_GROUP_ROWS);
const _: () = assert!(9_000 <= DATAGRAM_BYTES_MAX, "jumbo frames must fit");
const _: () = assert!(RECEIVE_BURST_DATAGRAMS * DATAGRAM_BYTES_MAX <= QUEUE_BYTES_MAX);
const _: () = assert!(SLOT_SECS_DEFAULT <= SLOT_SECS_MAX);
