//! Bounds of a query: what is read of files, held in memory and shown.

/// Nesting of a filter; recursion in the parser ends here.
pub const FILTER_DEPTH_MAX: usize = 256;

/// Length of a filter's text with that of the files it includes, octets.
pub const FILTER_BYTES_MAX: usize = 1 << 20;

/// Files that include files that include files: levels, as in nfdump.
pub const FILTER_INCLUDES_DEPTH_MAX: usize = 10;

/// Files a filter includes, counted each time: a few are usual, and each is a system call.
pub const FILTER_INCLUDES_MAX: usize = 256;

/// Notes about one filter that are said: more than anybody reads.
pub const FILTER_NOTES_MAX: usize = 8;

/// Entries of an MPLS label stack a filter can tell apart: those of elements 70 to 79.
pub const MPLS_LABELS_MAX: usize = 10;

/// Directories below the one asked for, levels. Our layout has two; a tree so deep
/// is a mistake or a trap. Links are no matter: a directory is read once.
pub const DIRECTORY_DEPTH_MAX: usize = 32;

/// Directories side by side that one question reads (`-M`): a site has dozens of collectors.
pub const SIBLINGS_MAX: usize = 256;

/// Times a query lists a directory that changes meanwhile, and all directories when
/// parts of a slot vanished before they were open. A slot closes in less time than
/// lies between two, so the second listing stands.
pub const LISTINGS_MAX: u32 = 64;

/// Seconds a directory has not changed for when once is enough to list it: twice the
/// coarsest clock of a file system (FAT), as a change within a tick doesn't show.
pub const DIRECTORY_QUIET_SECS: i64 = 4;

/// Files of a directory held open while it is read, as it may be exchanged for a compacted
/// one: an hour of slots of four seconds, and within the usual limit of descriptors.
pub const DIRECTORY_FILES_HELD_MAX: usize = 900;

/// Descriptors a query leaves for what it reads beside the parts it holds open: a
/// visible file and its clone, side tables, standard streams; some for the rest.
pub const QUERY_DESCRIPTORS_RESERVED: u64 = 64;

/// Footer of a Parquet file, octets. Ours has 20 KiB a row group (measured), so
/// this is thousands of millions of records; more would only fill the memory.
pub const FILE_FOOTER_BYTES_MAX: u64 = 256 << 20;

/// Rows decoded at a time by a query: a few hundred KiB of the usual columns, so
/// that they stay in the cache between filter and output.
pub const SCAN_BATCH_ROWS: usize = 8_192;

/// Rows flowdump takes of a row group at a time. Pages of ours have fewer, so each is one
/// step; those of others may have millions.
pub const SCAN_STEP_ROWS_MAX: usize = 32_768;

/// Octets read of a column at a time: some pages, so that system calls cost little, and memory
/// does not depend on how large row groups are.
pub const COLUMN_READ_BYTES: usize = 128 << 10;

/// Octets of a page's header: some 40, but for the statistics that others write into them.
pub const PAGE_HEADER_BYTES_MAX: usize = 16 << 10;

/// Octets read at once where the header of a page is, of columns that the `parquet` crate
/// reads: some headers are larger, most far smaller.
pub const PAGE_HEADER_READ_BYTES: usize = 1 << 10;

/// Bloom filter of a column that is looked at, octets: some times the largest of ours, and
/// still less than the dictionary it may spare.
pub const BLOOM_FILTER_READ_BYTES_MAX: i32 = 1 << 20;

/// Page index of one column of a row group that is looked at, octets: that of ours has some
/// hundred; what needs a megabyte costs more than it spares.
pub const PAGE_INDEX_READ_BYTES_MAX: usize = 1 << 20;

/// Octets of a page whose memory is kept for the next: dictionaries of addresses have up to two
/// MiB, and memory of a larger one is not to stay.
pub const PAGE_KEPT_BYTES_MAX: usize = 4 << 20;

/// Octets a page may say it has once decompressed. Writers end pages at one MiB or so, but a
/// row of ours may have tens of MiB, and some write dictionaries of any size.
pub const PAGE_BYTES_MAX: u64 = 128 << 20;

/// Rows a page may say it has. Those of other writers have up to a million; each takes
/// nine octets while it is decoded.
pub const PAGE_ROWS_READ_MAX: usize = 1 << 22;

/// Octets of text a thread may make before those before it are written: that of a few
/// batches, so that none waits for a reader that is slow for a moment.
pub const TEXT_AHEAD_BYTES_PER_THREAD: usize = 4 << 20;

/// Schemas that are kept in memory to be recognised: files of one writer have one, and a new
/// one for each change of its configuration.
pub const SCHEMAS_KNOWN_MAX: usize = 16;

/// Keys of `-A`, a bucket included: which of them are NULL is a bit each of one number.
pub const KEYS_MAX: usize = 63;

/// Orders of `-O`: more than anyone names, and a rank has a place for each.
pub const ORDERS_MAX: usize = 4;

/// Spans of `--bucket`, seconds: a year and a day. Longer ones are no series.
pub const BUCKET_SECS_MAX: i64 = 366 * 86_400;

/// What `--distinct`, `--percentile` and `--error` ask of groups: columns that fit a page.
pub const MEASURES_MAX: usize = 16;

/// Different values of a group that percentiles keep apart, 16 octets each, and as much again
/// while they are gathered. A group that has more is counted in classes, which take no more than
/// these and are 0.8 % off at most.
pub const PERCENTILE_VALUES_MAX: usize = 4_096;

/// Runs of one size that a thread sorts on disk before they are joined to one of the next: each is
/// read through a buffer of its own, and a million runs are four sizes of 31 at most.
pub const SORT_RUNS_OF_LEVEL_MAX: usize = 32;

/// Octets of a run that are read at a time: less is a system call for every few entries, more
/// makes nothing faster.
pub const SORT_READ_BYTES_MIN: usize = 4 << 10;
/// See [`SORT_READ_BYTES_MIN`].
pub const SORT_READ_BYTES_MAX: usize = 32 << 10;

/// Groups that are made of their sums at a time, some 300 octets each, before it is known which of
/// them are wanted.
pub const GROUPS_AT_A_TIME: usize = 1_024;

/// Minutes behind a window in which flows of it may still be exported, and so get lost: the
/// longest usual active timeout.
pub const EXPORT_DELAY_MINUTES_MAX: i64 = 30;

/// Exporters whose losses a summary names: the line is to be read.
pub const LOSSES_SHOWN_MAX: usize = 3;

/// Addresses whose anonymized form one thread keeps while it reads a row group, 40 octets each.
pub const ADDRESSES_KNOWN_MAX: usize = 1 << 17;

/// Rows that are listed without threads: to start those takes some 100 µs.
pub const ROWS_ALONE_MAX: u64 = 32_768;

/// Files that are held open between two passes over them; with more, one pass does it all.
pub const FILES_HELD_MAX: usize = 512;

/// Rows from which two passes may find the largest groups sooner than one.
pub const TWO_PASSES_ROWS_MIN: u64 = 2_000_000;

/// Threads a question may be given.
pub const QUERY_THREADS_MAX: usize = 256;

/// Memory a question may be given at least, octets: some hundred groups, below which every
/// batch would go to disk.
pub const QUERY_MEMORY_BYTES_MIN: usize = 64 << 10;

/// Parts that groups of a question lie in by hash; a power of two. Each is joined by one
/// thread: so many that all have something to do to the end.
pub const GROUP_PARTITIONS: usize = 64;

/// Groups the second of two passes is about at most: so many sums of one size, mostly 1,
/// that a pass over all groups does no more work.
pub const GROUP_CANDIDATES_MAX: usize = 65_536;

/// Memory of groups where `--memory` does not say: this part of what the machine has.
pub const QUERY_MEMORY_PARTS: u64 = 4;

/// Output gathered before it is written, octets: few system calls, and the first
/// rows still come at once.
pub const OUTPUT_BUFFER_BYTES: usize = 64 << 10;

/// Room made at a time for the text of rows, octets: filled once with zeros, which
/// stay in the cache until text takes their place.
pub const TEXT_STEP_BYTES: usize = 16 << 10;

/// Text a formatter keeps of one column's dictionary, octets, beside 16 for each entry:
/// a row group of nothing but IPv6 addresses needs 10 MiB.
pub const ENTRY_TEXT_BYTES_MAX: usize = 16 << 20;

/// Entries of a dictionary for each row to be printed, beyond which their text is not
/// kept: to clear what is kept of 16 costs as much as the text of a row.
pub const ENTRIES_PER_ROW_MAX: usize = 16;

/// Time a query that is to end has to do so by itself, ms: a batch takes far less. A
/// terminal's user is told within 200.
pub const INTERRUPT_GRACE_MS: u64 = 150;

/// Time after which a terminal shows how far a query is, ms.
pub const PROGRESS_AFTER_MS: u64 = 500;

/// Time between two looks for new rows, ms: parts come every 8 s, and a look is a few
/// system calls.
pub const FOLLOW_POLL_MS: u64 = 500;

/// Seconds between two looks for new trees of files below a root that is followed.
pub const FOLLOW_TREES_SECS: u64 = 10;

/// How far back rows may be followed from, seconds: 31 days of hours are looked for at
/// the start, each a system call for every tree and hierarchy.
pub const FOLLOW_SECS_MAX: i64 = 31 * 86_400;

/// Rows of open slots that are remembered while they are followed, so that each is told
/// once: 8 octets each, 32 MiB. A slot of 5 minutes at 14,000 matching rows a second.
pub const FOLLOW_ROWS_MAX: usize = 4 << 20;

/// Seconds `top` can sum up over: a glance, a minute, the default slot.
pub const TOP_WINDOWS_SECS: [i64; 3] = [10, 60, 300];

/// Values `top` counts apart, over all seconds it holds: 40 octets each, and 150 for a
/// value of its own; 180 MiB where each is. Beyond,
/// the oldest seconds go and the screen says so.
pub const TOP_ENTRIES_MAX: usize = 1 << 20;

/// Rows of a screen of `top` that are made; no terminal shows more.
pub const TOP_ROWS_MAX: usize = 500;

/// How long a row takes from its exporter's datagram into a part, seconds: parts come
/// every 8, and are written then. `top` waits so long before it believes in silence.
pub const TOP_LAG_SECS: i64 = 11;

/// A block of an nfcapd file, octets, compressed or not: nfdump's buffers have 5 MiB, and
/// memory is made for what a block says it has.
pub const NFCAPD_BLOCK_BYTES_MAX: usize = 16 << 20;

/// Blocks of an nfcapd file of which it is said why they can't be read; the rest is counted.
pub const NFCAPD_DAMAGE_SHOWN_MAX: usize = 8;

/// Slots one nfcapd file may be spread over at a time, each a file being written with up to
/// 64 Ki rows gathered. Ours has the records of one or two; with more the earliest end.
pub const IMPORT_SLOTS_OPEN_MAX: usize = 16;

/// Octets of a datagram that flows are replayed in: what fits into an Ethernet frame with
/// room for tunnels.
pub const REPLAY_DATAGRAM_BYTES: usize = 1_400;

/// Octets of a flow that is replayed alone in a datagram, as UDP over IPv4 has room.
pub const REPLAY_RECORD_BYTES_MAX: usize = 60_000;

/// Datagrams of one observation domain after which a template is sent again with the next
/// record that needs it: a collector that was started late waits for seconds.
pub const REPLAY_TEMPLATE_DATAGRAMS: u64 = 100;

/// Templates of one observation domain; each is a set of columns that a flow has. With more
/// all are forgotten and begin anew: files of ours have a few, hostile ones any number.
pub const REPLAY_TEMPLATES_MAX: usize = 1_024;

/// Observation domains flows are replayed for; what is beyond goes to the one that is the
/// remainder of its number.
pub const REPLAY_DOMAINS_MAX: usize = 4_096;

/// Flows a second that are replayed where nothing else is said: collectors of all kinds take
/// so many without loss.
pub const REPLAY_FLOWS_PER_SEC_DEFAULT: u64 = 20_000;

/// Longest sleep between two flows replayed at the pace they were recorded, seconds, before
/// what is gathered is sent: datagrams are not held back for hours.
pub const REPLAY_HOLD_MS_MAX: u64 = 100;

/// Databases of places of one question: countries, cities, and systems, for two vendors.
pub const PLACES_FILES_MAX: usize = 8;

/// A database of places, octets: the largest that is sold has a third.
pub const PLACES_BYTES_MAX: u64 = 1 << 30;

/// Addresses whose places a thread that prints rows remembers: about 8 MiB.
pub const PLACES_KNOWN_MAX: usize = 1 << 16;

const _: () = assert!(INTERRUPT_GRACE_MS < 200);
