//! Every bound, with its unit and its reason. Everything from the network and
//! from disk is hostile; no count read from it is trusted without one of these.

pub use self::compaction::*;
pub use self::query::*;

/// A bound as `flowcapd check` shows it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Name of its constant, unit included.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// The lines of its documentation: what it bounds, and the reason.
    doc: &'static [&'static str],
}

impl Bound {
    /// What it bounds, and why, on one line.
    pub fn text(&self) -> String {
        self.doc
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ")
            .replace("[`", "`")
            .replace("`]", "`")
    }
}

/// Every bound of the collector.
pub fn bounds() -> impl Iterator<Item = &'static Bound> + Clone {
    BOUNDS.iter().chain(compaction::BOUNDS)
}

/// Defines bounds as constants, and lists them.
macro_rules! bounds {
    ($($(#[doc = $doc:literal])+ pub const $name:ident: $type:ty = $value:expr;)+) => {
        $($(#[doc = $doc])+ pub const $name: $type = $value;)+

        /// These bounds.
        pub(super) const BOUNDS: &[Bound] =
            &[$(Bound { name: stringify!($name), value: $name as u64, doc: &[$($doc),+] }),+];
    };
}

mod compaction;
mod query;

bounds! {
/// Room for one datagram, octets: an IPFIX message may be that long (RFC 7011
/// §3.1), a UDP payload a few less.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Datagrams one system call may take. More gains nothing (measured: the call
/// costs less than 5 % at 64) and would delay a shutdown.
pub const RECEIVE_BURST_DATAGRAMS: usize = 64;

/// Fields of one template. Exporters seen use at most 60; 1,024 leaves room and
/// keeps a template below 16 KiB.
pub const TEMPLATE_FIELDS_MAX: usize = 1_024;

/// Firewall connections remembered because an update of them was seen: a large firewall
/// has so many that live longer than a minute. At most 40 MiB.
pub const FIREWALL_CONNECTIONS_MAX: usize = 1 << 18;

/// Lists within lists, levels. RFC 6313 sets no bound; exporters seen nest two deep.
pub const LIST_DEPTH_MAX: usize = 4;

/// Fields of a template for each octet of its smallest record. Fields of no octets are
/// legal and useless; 1,023 of them would cost as many steps for each octet received.
pub const FIELDS_PER_OCTET_MAX: usize = 8;

/// Templates held at a time, over all sessions and domains: 10,000 exporters
/// with 4 each, and room.
pub const TEMPLATES_MAX: usize = 65_536;

/// Shortest life of a template that stopped coming, seconds, where it follows from
/// the refresh: the half hour that RFC 5101 §10.3.7 gave it.
pub const TEMPLATE_LIFETIME_SECS_MIN: i64 = 1_800;

/// What is known of a session that has been silent for so long is forgotten,
/// seconds: a week outlives an exporter's holiday, and an exporter that changes its
/// port at each start does not pile up for ever.
pub const SESSION_IDLE_SECS_DEFAULT: i64 = 7 * 86_400;

/// How often silent sessions are looked for, seconds: it takes a walk over all of them.
pub const SESSION_SWEEP_SECS: u64 = 60;

/// How far two computations of one exporter's start may differ, seconds: export
/// times are whole seconds, and clocks drift between packets.
pub const BOOT_SECS_TOLERANCE: u64 = 3;

/// Source ports of one exporter and source id whose templates serve all of them.
pub const PORTS_PER_EXPORTER_MAX: usize = 16;

/// Observation domains followed in one transport session. Seen: 20 (line cards).
pub const DOMAINS_PER_STREAM_MAX: usize = 64;

/// Sessions quiet for so long, seconds, make room where sequence numbers of too
/// many are followed.
pub const STREAM_QUIET_SECS_MAX: i64 = 600;

/// Largest forward jump taken for a loss, records: 17 minutes at 1,000 records a
/// second. A restart at a random number lands inside once in 4,096 times.
pub const SEQUENCE_GAP_RECORDS_MAX: u32 = 1 << 20;

/// Largest forward jump taken for a loss, messages: as for records, 16 to a message.
pub const SEQUENCE_GAP_MESSAGES_MAX: u32 = 1 << 16;

/// How far back a late or repeated message may lie, records: 8 messages of 512, or
/// 58 of the 70 records a datagram of 1,500 octets can hold.
pub const SEQUENCE_LATE_RECORDS_MAX: u32 = 4_096;

/// How far back a late or repeated message may lie, messages. Paths through a
/// network reorder by a handful; beyond that an exporter has started again.
pub const SEQUENCE_LATE_MESSAGES_MAX: u32 = 64;

/// Gaps remembered so that a late message can take its loss back. Reordering within
/// 8 messages opens at most 8 at a time.
pub const SEQUENCE_HOLES_MAX: usize = 8;

/// Sampling rate an operator may set; nfcapd's.
pub const SAMPLING_RATE_MAX: u32 = 10_000_000;

/// Templates that never decoded anything among which a new one is not the first to
/// go: an eighth of all, so that whoever fills the table with templates and data for
/// them can't keep new exporters out.
pub const TEMPLATES_UNTRIED_PARTS: usize = 8;

/// Places in the queues of eviction below which stale ones are left: 72 KiB.
pub const TEMPLATE_TICKETS_MIN: usize = 1_024;

/// Time after which a session that still sends is established, seconds: its templates
/// in use go last. A sender of forged templates would have to come back to each of
/// them a minute later, and be remembered until then.
pub const ESTABLISHED_SECS: i64 = 60;

/// Memory held by templates: 256 MiB. The largest template alone stays far below.
pub const TEMPLATES_BYTES_MAX: usize = 256 << 20;

/// Observation domains whose sequence numbers are followed.
pub const DOMAINS_MAX: usize = 65_536;

/// Samplers and interfaces whose rate is remembered for one domain. Seen: 16
/// (ASR 9000 line cards). Every template in use could have so many: 64 keeps all
/// of them together below 150 MiB.
pub const SAMPLERS_PER_DOMAIN_MAX: usize = 64;

/// Names, rates and reports kept of one exporter: 1,500 applications and the
/// interfaces of a large access router.
pub const FACTS_PER_EXPORTER_MAX: usize = 16_384;

/// Memory of all names, rates and reports: 128 MiB, about 100 for each of 10,000
/// exporters. Beyond it exporters that never sent a flow are forgotten first.
pub const FACTS_BYTES_MAX: usize = 128 << 20;

/// An exporter quiet for so long, seconds, is forgotten where there is no room.
pub const FACTS_QUIET_SECS_MAX: i64 = 86_400;

/// How often a name told again counts as a change, seconds: side tables are
/// written when something changed, and exporters repeat all names every few minutes.
pub const FACT_SEEN_SECS: i64 = 3_600;

/// Length of a name, octets: `ifAlias` and `ifDescr` have up to 255 (RFC 2863 §6).
pub const FACT_NAME_BYTES_MAX: usize = 255;

/// Changes of one sampling rate that are remembered, the newest: years of an
/// operator's changes, minutes of a defect's.
pub const RATE_CHANGES_MAX: usize = 64;

/// Size of a side table that is read, octets: all facts at their limit, without
/// any compression, with room.
pub const TABLE_BYTES_MAX: u64 = 256 << 20;

/// Rows of a side table that are read: facts of 128 octets at their limit.
pub const TABLE_ROWS_MAX: usize = FACTS_BYTES_MAX / 128;

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

/// Records are gathered for so long before they become a part, seconds: with the time
/// to write it, whoever asks sees them within ten.
pub const PART_SECS: u64 = 8;

/// Length of a segment of the journal, octets: a second of a million flows.
pub const JOURNAL_SEGMENT_BYTES: u64 = 32 << 20;

/// All segments in use, octets: what may be accepted and not yet in files. Half a
/// minute of a million flows a second, replayed in about a second; four segments at least.
pub const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// Segments kept for use when nothing needs them.
pub const JOURNAL_SPARE_SEGMENTS: usize = 2;

/// Beyond those as many are kept as were in use at once within this time, or twice it,
/// seconds: longer than any part takes, short enough that a peak's room comes back.
pub const JOURNAL_KEEP_SECS: u64 = 60;

/// Octets of the journal after which a cut is due however little time has passed: a
/// replay starts no further back. A quarter of a journal where that is less.
pub const JOURNAL_CUT_BYTES: u64 = 256 << 20;

/// Time between two syncs of the journal, ms: what a power loss may take.
pub const JOURNAL_SYNC_MS: u64 = 500;

/// Starts that may fail in the replay of one journal, before it is set aside.
pub const REPLAY_ATTEMPTS_MAX: u32 = 3;

/// Room on the disk that is kept for the end, octets: when all else is taken, the open
/// slot and the state are written into it.
pub const BALLAST_BYTES: u64 = 32 << 20;

/// How often a full disk is looked at, seconds.
pub const DISK_CHECK_SECS: u64 = 2;

/// Datagrams that made the decoder panic, kept to be looked at.
pub const QUARANTINE_FILES_MAX: usize = 100;

/// Directories that are still looked at for parts after their last slot has ended:
/// what is being published lies there.
pub const OPEN_DIRECTORIES_KEPT: usize = 8;

/// Parts of a slot; more than an hour of 60 M flows a second has. Numbers beyond are
/// for runs that can't tell which were used.
pub const SLOT_PARTS_MAX: u32 = 1 << 20;

/// Parts that wait to be synced: each holds a descriptor.
pub const PARTS_UNSYNCED_MAX: usize = 128;

/// Octets of parts that are still merged into one file when the program ends; above,
/// each becomes a file, as whoever ended it waits.
pub const MERGE_AT_END_BYTES_MAX: u64 = 512 << 20;

/// Octets read at a time where columns are copied from file to file: a column of a
/// row group is some ten times this.
pub const COPY_BUFFER_BYTES: usize = 64 << 10;

/// Rows of one batch, which becomes one row group.
pub const ROW_GROUP_ROWS: usize = 262_144;

/// Rows of one page of a column.
pub const PAGE_ROWS: usize = 20_000;

/// Bloom filter of one column of a row group, octets: 1 % of false positives for 200,000
/// addresses, 3.3 % where each of a row group is another, and then a twentieth of its size.
pub const BLOOM_FILTER_BYTES_MAX: usize = 256 << 10;

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

/// Messages of connections queued, octets: these wait first, and leave the rest to
/// datagrams, which can't.
pub const QUEUE_STREAM_BYTES_MAX: usize = QUEUE_BYTES_MAX / 2;

/// How far what one thread received may lie behind what another handed on before,
/// seconds. Beyond that the clock was set.
pub const DISORDER_SECS_MAX: i64 = 60;

/// Connections open at a time. Each holds at most one message that is not yet
/// whole, so all of them at most twice 128 MiB.
pub const CONNECTIONS_MAX: usize = 2_048;

/// File descriptors that connections leave to everything else: a dozen sockets, the
/// files of a slot, those of a reload.
pub const DESCRIPTORS_RESERVED: u64 = 64;

/// Connections of one address: routers with several line cards and their
/// reconnecting, and no single address takes all there are.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;

/// TLS handshakes under way; others wait. One costs about 1 ms of computing.
pub const HANDSHAKES_MAX: usize = 64;

/// Longest TLS handshake, its waiting included, seconds: a few round trips
/// around the world, and retransmissions.
pub const HANDSHAKE_SECS_MAX: u64 = 10;

/// Longest time from the first octet of a message to its last, seconds: 64 KiB at
/// 20 kbit/s. A sender of an octet a second does not hold a connection so.
pub const MESSAGE_SECS_MAX: u64 = 30;

/// Longest time between two messages of a connection, seconds. An exporter of a
/// quiet network has nothing to say for long.
pub const CONNECTION_IDLE_SECS_MAX: u64 = 3_600;

/// Time for the peer to close after we have, seconds (RFC 7011 §10.4.4 asks to read
/// on until then, and names no bound).
pub const CLOSING_SECS_MAX: u64 = 5;

/// Silence after which the kernel asks whether a peer is still there, seconds: one
/// that vanished is noticed within minutes.
pub const KEEPALIVE_SECS: u64 = 60;

/// Connections the kernel holds until they are accepted.
pub const LISTEN_BACKLOG: i32 = 1_024;

/// Certificates are looked at for changes every so many seconds.
pub const CERTIFICATE_CHECK_SECS: u64 = 5;

/// Pause after a connection could not be accepted, for want of descriptors as a
/// rule, ms.
pub const ACCEPT_PAUSE_MS: u64 = 100;

/// Batches queued between decoding and writing. The writer is the slower one;
/// two let it work while the next fills.
pub const WRITER_QUEUE_BATCHES: usize = 2;

/// Batches kept for use again, some 31 MB each: what is written returns while one fills.
pub const SPARE_BATCHES_MAX: usize = 2;

/// Buffer of a capture being read, octets: the largest packet and the header of
/// its block fit many times.
pub const CAPTURE_BUFFER_BYTES: usize = 4 << 20;

/// Octets read at a time of a stream or file of messages: the longest message in
/// one or two reads.
pub const FILE_READ_BYTES: usize = 64 << 10;

/// Columns an operator may define, and that are taken from the metadata of one
/// file: as many again as the table has, and the schema stays far below
/// [`SCHEMA_ELEMENTS_MAX`].
pub const EXTRA_COLUMNS_MAX: usize = 128;

/// Columns beyond the table that one question knows, over all its files. Seen:
/// what one operator defined, and what was renamed since.
pub const EXTRA_COLUMNS_KNOWN_MAX: usize = 1_024;

/// Name of a column an operator defines, octets: what PostgreSQL keeps of one.
pub const COLUMN_NAME_BYTES_MAX: usize = 63;

/// Configuration file, octets: all elements that may be defined, with comments,
/// take a hundredth.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Socket buffer asked of the kernel, octets; it grants less without
/// `net.core.rmem_max`.
pub const SOCKET_BUFFER_BYTES: usize = 16 << 20;

/// Largest socket buffer that can be asked for, octets: the kernel counts its double
/// in 31 bits.
pub const SOCKET_BUFFER_BYTES_MAX: usize = 1 << 29;

/// Multicast groups; Linux lets a socket join so many
/// (`net.ipv4.igmp_max_memberships`).
pub const GROUPS_MAX: usize = 20;

/// Sources with a tree of their own (`-n`): nfcapd's bound of dynamic ones.
pub const SOURCES_MAX: usize = 1_024;

/// Exporters with a directory of their own (`-M`); nfcapd's. Whoever forges addresses
/// makes so many directories and no more.
pub const TREES_APART_MAX: usize = 1_024;

/// Exporters whose tree is remembered: a walk over all sources takes microseconds.
/// At most 4 MiB.
pub const ROUTES_KNOWN_MAX: usize = 65_536;

/// Collectors that datagrams are repeated to; nfcapd's bound.
pub const DESTINATIONS_MAX: usize = 8;

/// Port of a collector that datagrams are repeated to; nfcapd's.
pub const REPEAT_PORT_DEFAULT: u16 = 9995;

/// Datagrams that wait to be repeated, octets: a tenth of a second at 1 Gbit/s.
pub const REPEAT_QUEUE_BYTES_MAX: usize = 16 << 20;

/// How often names of those collectors are looked up again, seconds.
pub const RESOLVE_SECS: u64 = 300;

/// Longest wait at the end for what is still to be repeated, ms.
pub const REPEAT_DRAIN_MS_MAX: u64 = 1_000;

/// Files whose command (`-x`) has not ended: a slot of as many trees as there may be,
/// twice. Beyond it files get none.
pub const COMMANDS_WAITING_MAX: usize = 4_096;

/// Commands that run at a time by default: each after the one before, as with nfcapd.
pub const COMMANDS_RUNNING_DEFAULT: usize = 1;

/// Commands that may run at a time, at most: each is a process.
pub const COMMANDS_RUNNING_MAX: usize = 64;

/// Longest wait for commands at the end, ms. Those that run on then are left alone.
pub const COMMANDS_DRAIN_MS_MAX: u64 = 5_000;

/// Length of a slot by default, seconds; nfcapd's.
pub const SLOT_SECS_DEFAULT: u32 = 300;

/// Longest time between the stop signal and the last datagram taken, ms: enough
/// to empty full socket buffers, and an exporter that never pauses can't hold the
/// program up.
pub const DRAIN_MS_MAX: u64 = 1_000;

/// Longest time the decoder goes on after the stop signal, ms: an end takes ten seconds.
pub const ENDING_DECODE_MS_MAX: u64 = 4_000;

/// File of what was counted on sockets that outlive a run, octets: thousands of sockets.
pub const COUNTED_BYTES_MAX: u64 = 64 << 10;

/// How often the service manager is told in words how it goes, seconds.
pub const SERVICE_STATUS_SECS: u64 = 10;

/// Watchdog messages sent in the time after which the service manager gives up: one
/// late, or a receive loop that had much to do for one turn, kills nothing.
pub const WATCHDOG_FEEDS: u32 = 4;

/// How often the service manager is asked for more time while draining, seconds, and
/// for how long each time: it waits so long for a collector that hangs.
pub const SERVICE_DRAIN_SECS: u64 = 5;
/// See [`SERVICE_DRAIN_SECS`].
pub const SERVICE_EXTEND_SECS: u32 = 30;

/// Datagrams whose records wait to be printed (`-E`). Beyond this a live
/// collector leaves records out and counts them.
pub const ECHO_QUEUE_DATAGRAMS: usize = 1_024;

/// Longest wait for the reader of `-E` at the end, ms.
pub const ECHO_DRAIN_MS_MAX: u64 = 1_000;

/// Size of a state file that is read at the start, octets: all templates at
/// their limit and all data that may wait, as text, with room.
pub const STATE_BYTES_MAX: u64 = 1 << 30;

/// How often files are looked for that may go, seconds.
pub const RETENTION_INTERVAL_SECS: u64 = 60;

/// Part of the time that may go into looking for them: after a walk of a second the
/// next begins 50 seconds later at the earliest.
pub const RETENTION_IDLE_PARTS: u32 = 50;

/// Files stay for so long after their slot has ended, seconds, whatever the rules say:
/// late records are still being added to their directory.
pub const RETENTION_GRACE_SECS: i64 = 60;

/// Directories of slots so long ago are removed once they are empty, seconds. Into
/// younger ones a file may be put at this moment.
pub const RETENTION_DIRECTORY_SECS: i64 = 86_400;

/// Longest slot: a file lies wholly in one hour.
pub const SLOT_SECS_MAX: u32 = 3_600;

/// A listener where nothing arrived for this long gets a hint, seconds.
pub const SILENT_LISTENER_SECS: u64 = 30;

/// One log line per (exporter, reason) in this time, seconds; the next says how
/// many were suppressed.
pub const LOG_INTERVAL_SECS: i64 = 60;

/// Warnings and errors that one place in the program says in that time: a screen of
/// them. Where each concerns another exporter, that is enough to see that all do.
pub const LOG_LINES_MAX: u32 = 20;

/// Pairs of (exporter, reason) the log remembers. A sender can forge addresses;
/// beyond this many in one interval new ones are counted and not logged.
pub const LOG_KEYS_MAX: usize = 4_096;

/// Exporters told apart while the collector runs, at most 4 MiB. Beyond it those that
/// came and went are forgotten first; what they sent stays in the sums.
pub const EXPORTERS_LIVE_MAX: usize = 16_384;

/// Exporters with metrics of their own; the rest is summed up as `other`.
pub const EXPORTERS_NAMED_MAX: usize = 800;

/// Metrics of one exporter.
pub const EXPORTER_SERIES: usize = 2;

/// Series of everything but exporters: counters, their reasons, and up to 50 sockets
/// with three each. The rest is what reasons of the future may add.
pub const FIXED_SERIES_MAX: usize = 390;

/// Series of one scrape: what costs a Prometheus server some 10 MB.
pub const SERIES_MAX: usize = 2_000;

/// An exporter quiet for so long, seconds, gives up its metrics where there is no room.
pub const EXPORTER_QUIET_SECS_MAX: i64 = 86_400;

/// Window over which the pace of an exporter is measured, seconds: long enough for
/// exporters that send a datagram every few seconds.
pub const PACE_WINDOW_SECS: u64 = 10;

/// What exporters do is copied out at most so often, ms, however many look: it takes
/// the decode thread 7 ms for 10,000 exporters (measured).
pub const LOOK_AGAIN_MS: u64 = 500;

/// Longest wait for the decode thread to copy it out, ms; it turns five times a second.
/// Beyond it whoever looks gets what was copied before.
pub const LOOK_MS_MAX: u64 = 1_000;

/// HTTP connections open at a time. Each answers one request and ends.
pub const HTTP_CONNECTIONS_MAX: usize = 64;

/// Those of one address, and of the local socket: whoever hangs on to them leaves room
/// for others.
pub const HTTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 16;

/// Octets of a request line and its headers; hyper takes no less for a bound.
pub const HTTP_HEADER_BYTES_MAX: usize = 8_192;

/// Headers of a request. Prometheus sends 6, browsers about 20.
pub const HTTP_HEADERS_MAX: usize = 64;

/// Longest time for a request to arrive, seconds.
pub const HTTP_HEADER_SECS_MAX: u64 = 5;

/// Longest life of an HTTP connection, seconds: Prometheus gives up after 10 by
/// default.
pub const HTTP_CONNECTION_SECS_MAX: u64 = 15;

/// The receive loop is stuck when it has not turned for so long, seconds; it turns five
/// times a second, and waits for the decoder at most.
pub const RECEIVE_STUCK_SECS: u64 = 10;

/// Exporters listed in a status: those heard last. At 400 octets each, all connections
/// together hold 50 MiB of them.
pub const STATUS_EXPORTERS_MAX: usize = 2_048;

/// Octets of a status that `flowcapd status` reads.
pub const STATUS_BYTES_MAX: u64 = 16 << 20;

/// Longest wait of `flowcapd status` for a collector to answer, seconds.
pub const STATUS_SECS_MAX: u64 = 10;

/// Templates that data waits for, shown to whoever asks: those it waits for longest.
pub const WAITS_SHOWN_MAX: usize = 64;

/// Exporters listed in a file's metadata: the first so many of the slot. A sender
/// can forge addresses; the rest is summed up in one line.
pub const FOOTER_EXPORTERS_MAX: usize = 1_024;

/// Minutes of one exporter for which a file's metadata says what is missing: a file lies within
/// one hour, and clocks are set.
pub const FOOTER_MINUTES_MAX: usize = 64;
}

/// Ports listened on without `-p`: NetFlow at Cisco's and Open vSwitch's
/// documentation (2055), IPFIX (4739, RFC 7011 §10.3.4), nfcapd (9995) and its
/// neighbour (9996).
pub const PORTS_DEFAULT: [u16; 4] = [2055, 4739, 9995, 9996];

/// Port of IPFIX over TCP (RFC 7011 §10.4).
pub const TCP_PORT_DEFAULT: u16 = 4739;

/// Port of IPFIX over TLS (RFC 7011 §10.1).
pub const TLS_PORT_DEFAULT: u16 = 4740;

/// Structs and lists in each other in a Parquet footer; it needs four.
pub const THRIFT_DEPTH_MAX: usize = 16;

/// Key-value pairs in the metadata of a file; ours have eleven, those of other writers a few.
pub const THRIFT_PAIRS_MAX: u64 = 1_000;

/// Elements of a Parquet schema. Ours has some 100. Each may lie in the one before,
/// and the Parquet reader recurses: 20,000 overflow its stack, 1,024 need less
/// than 2 MiB of it also in a debug build.
pub const SCHEMA_ELEMENTS_MAX: u64 = 1_024;

/// Characters shown on either side of an error in a filter or a configuration:
/// with the text between, a few lines of a terminal however long the line is.
pub const EXCERPT_CONTEXT_CHARS: usize = 72;

/// Longest word for which a likely one is looked for, octets: longer than any of
/// ours, and comparing costs the product of both lengths.
pub const WORD_BYTES_MAX: usize = 64;

const _: () =
    assert!(SEQUENCE_LATE_RECORDS_MAX < SEQUENCE_GAP_RECORDS_MAX && SEQUENCE_GAP_RECORDS_MAX < 1 << 31);
const _: () = assert!(SEQUENCE_LATE_MESSAGES_MAX < SEQUENCE_GAP_MESSAGES_MAX);
const _: () = assert!((EXTRA_COLUMNS_MAX as u64) < SCHEMA_ELEMENTS_MAX / 2);
const _: () = assert!(COLUMN_NAME_BYTES_MAX <= WORD_BYTES_MAX);
const _: () = assert!(2 * (SOURCES_MAX + TREES_APART_MAX) <= COMMANDS_WAITING_MAX);
const _: () = assert!(EXPORTER_SERIES * (EXPORTERS_NAMED_MAX + 1) + FIXED_SERIES_MAX <= SERIES_MAX);
const _: () = assert!(PAGE_ROWS <= ROW_GROUP_ROWS);
const _: () = assert!(9_000 <= DATAGRAM_BYTES_MAX, "jumbo frames must fit");
const _: () = assert!(RECEIVE_BURST_DATAGRAMS * DATAGRAM_BYTES_MAX <= QUEUE_BYTES_MAX);
const _: () = assert!(SERVICE_DRAIN_SECS < SERVICE_EXTEND_SECS as u64);
const _: () = assert!(SLOT_SECS_DEFAULT <= SLOT_SECS_MAX);
