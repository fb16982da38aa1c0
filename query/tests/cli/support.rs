//! Fixture files, and runs of the program as text.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, Column, ColumnId, ExtraColumn, Kind};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::footer::{Exporter, Footer, Totals};
use flow_common::layout::Slot;
use flow_common::schema::{SCHEMA_VERSION, label_item, schema};
use flow_common::time::Timestamp;
use flow_query::{Env, Zone};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

/// 2026-05-28 20:26:40 UTC: the first second of the sample flows.
pub(crate) const T0_SECS: i64 = 1_780_000_000;

/// 2026-05-28 21:00:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp(1_780_002_000_000_000);

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Int(i64),
    Octets(Vec<u8>),
    Text(String),
    Labels(Vec<i32>),
    Other(Vec<(i64, Vec<u8>)>),
}

/// One row: the columns that are not NULL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row(Vec<(ColumnId, Cell)>);

impl Row {
    /// A flow of the sample: milliseconds after [`T0_SECS`], protocol, addresses with ports, counters.
    pub(crate) fn flow(
        (start_ms, end_ms): (i64, i64),
        protocol: i64,
        (src, src_port): (&str, i64),
        (dst, dst_port): (&str, i64),
        (packets, bytes): (i64, i64),
    ) -> Self {
        let micros = |ms: i64| T0_SECS * 1_000_000 + ms * 1_000;
        Self::default()
            .int(ColumnId::FlowStart, micros(start_ms))
            .int(ColumnId::FlowEnd, micros(end_ms))
            .int(ColumnId::Protocol, protocol)
            .addr(ColumnId::SrcAddr, src)
            .addr(ColumnId::DstAddr, dst)
            .int(ColumnId::SrcPort, src_port)
            .int(ColumnId::DstPort, dst_port)
            .int(ColumnId::Packets, packets)
            .int(ColumnId::Bytes, bytes)
    }

    pub(crate) fn set(mut self, id: ColumnId, cell: Cell) -> Self {
        self.0.retain(|(known, _)| *known != id);
        self.0.push((id, cell));
        self
    }

    pub(crate) fn int(self, id: ColumnId, value: i64) -> Self {
        self.set(id, Cell::Int(value))
    }

    pub(crate) fn addr(self, id: ColumnId, addr: &str) -> Self {
        self.set(id, Cell::Octets(Addr16::from(addr.parse::<std::net::IpAddr>().unwrap()).0.to_vec()))
    }

    pub(crate) fn octets(self, id: ColumnId, octets: &[u8]) -> Self {
        self.set(id, Cell::Octets(octets.to_vec()))
    }

    pub(crate) fn text(self, id: ColumnId, text: &str) -> Self {
        self.set(id, Cell::Text(text.to_owned()))
    }

    pub(crate) fn without(mut self, id: ColumnId) -> Self {
        self.0.retain(|(known, _)| *known != id);
        self
    }

    pub(crate) fn get(&self, id: ColumnId) -> Option<&Cell> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, cell)| cell)
    }

    pub(crate) fn get_int(&self, id: ColumnId) -> Option<i64> {
        match self.get(id)? {
            Cell::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn get_addr(&self, id: ColumnId) -> Option<std::net::IpAddr> {
        match self.get(id)? {
            Cell::Octets(octets) => Some(Addr16(octets.as_slice().try_into().ok()?).to_ip()),
            _ => None,
        }
    }

    /// With the columns every row has.
    fn complete(&self) -> Self {
        let mut row = self.clone();
        for (id, cell) in [
            (ColumnId::Received, Cell::Int((T0_SECS + 60) * 1_000_000)),
            (ColumnId::ExportVersion, Cell::Int(9)),
        ] {
            if row.get(id).is_none() {
                row = row.set(id, cell);
            }
        }
        if row.get(ColumnId::ExporterAddr).is_none() {
            row.addr(ColumnId::ExporterAddr, "192.0.2.1")
        } else {
            row
        }
    }
}

/// How a fixture is written.
pub(crate) struct Fixture<'a> {
    /// Columns beyond the table: name, type and values.
    pub(crate) extra: Vec<(&'a str, AbstractDataType, ArrayRef)>,
    /// Columns the metadata lists besides.
    pub(crate) listed: Vec<(&'a str, AbstractDataType)>,
    pub(crate) ident: &'a str,
    /// Parts whose rows it holds.
    pub(crate) replaces: &'a [&'a str],
    pub(crate) has_footer: bool,
    /// Rows whose totals the metadata has, where those are not the file's.
    pub(crate) totals_of: Option<Vec<Row>>,
    pub(crate) group_rows: usize,
    pub(crate) page_rows: usize,
    /// Export packets that 192.0.2.1 sent and that did not arrive.
    pub(crate) lost: i64,
    pub(crate) kernel_dropped: u64,
}

impl Default for Fixture<'_> {
    fn default() -> Self {
        Self {
            extra: Vec::new(),
            listed: Vec::new(),
            ident: "edge1",
            replaces: &[],
            has_footer: true,
            totals_of: None,
            group_rows: 1 << 20,
            page_rows: 20_000,
            lost: 0,
            kernel_dropped: 0,
        }
    }
}

/// Writes `rows` to `path`, as the collector would.
pub(crate) fn write(path: &Path, rows: &[Row], fixture: &Fixture<'_>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rows: Vec<Row> = rows.iter().map(Row::complete).collect();
    let extra = fixture
        .extra
        .iter()
        .map(|(name, _, array)| Arc::new(Field::new(*name, array.data_type().clone(), true)));
    let fields: Vec<_> = schema().fields().iter().cloned().chain(extra).collect();
    let arrays = COLUMNS.iter().map(|column| array(column, &rows));
    let arrays = arrays.chain(fixture.extra.iter().map(|(.., array)| Arc::clone(array))).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(fixture.group_rows))
        .set_data_page_row_count_limit(fixture.page_rows)
        // Limits are looked at after so many rows.
        .set_write_batch_size(fixture.page_rows.min(1_024));
    if fixture.has_footer {
        let pairs = footer(&rows, fixture).to_metadata();
        let pairs = pairs.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        properties = properties.set_key_value_metadata(Some(pairs));
    }
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn footer(rows: &[Row], fixture: &Fixture<'_>) -> Footer {
    let mut totals = Totals::default();
    for row in fixture.totals_of.as_deref().unwrap_or(rows) {
        let known = |id| row.get_int(id).and_then(|value| u64::try_from(value).ok());
        let count = |id| known(id).unwrap_or(0);
        let flows = known(ColumnId::FlowCount).unwrap_or(1);
        let protocol = row.get_int(ColumnId::Protocol).and_then(|number| u8::try_from(number).ok());
        match row.get_int(ColumnId::Contributes) {
            Some(0) => totals.add_event(),
            _ => totals.add_record(protocol, flows, count(ColumnId::Packets), count(ColumnId::Bytes)),
        }
        let (start, end) = (row.get_int(ColumnId::FlowStart), row.get_int(ColumnId::FlowEnd));
        totals.add_span(start.or(end), end.or(start));
        totals.add_rate(row.get_int(ColumnId::SamplingRate));
    }
    let elements = fixture.extra.iter().map(|(name, data_type, _)| (*name, *data_type));
    let elements = (1..)
        .zip(elements.chain(fixture.listed.iter().copied()))
        .map(|(id, (name, data_type))| ExtraColumn::new(name, ElementKey { pen: 9, id }, data_type).unwrap());
    Footer {
        schema_version: SCHEMA_VERSION,
        writer: "flowcapd test".into(),
        ident: fixture.ident.into(),
        slot: Slot { start_secs: T0_SECS, end_secs: T0_SECS + 300 },
        totals,
        exporters: (fixture.lost != 0).then(|| exporter(fixture.lost)).into_iter().collect(),
        kernel_dropped: fixture.kernel_dropped,
        elements: elements.collect(),
        compacts: Vec::new(),
        imported_from: Vec::new(),
        replaces: fixture.replaces.iter().map(|name| (*name).to_owned()).collect(),
        journal: None,
    }
}

fn exporter(lost: i64) -> Exporter {
    Exporter {
        addr: "192.0.2.1".parse().ok(),
        version: 9,
        domain: Some(7),
        datagrams: 1,
        flows: 1,
        gaps: 1,
        lost,
        lost_unit: "packets".into(),
        ..Exporter::default()
    }
}

fn array(column: &Column, rows: &[Row]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(column.id));
    let ints = cells.clone().map(|cell| match cell {
        Some(Cell::Int(value)) => Some(*value),
        _ => None,
    });
    let octets = cells.clone().map(|cell| match cell {
        Some(Cell::Octets(octets)) => Some(octets.as_slice()),
        _ => None,
    });
    match column.kind {
        Kind::Int32 => {
            let mut builder = Int32Builder::new();
            ints.for_each(|value| builder.append_option(value.map(|value| i32::try_from(value).unwrap())));
            Arc::new(builder.finish())
        }
        Kind::Int64 => {
            let mut builder = Int64Builder::new();
            ints.for_each(|value| builder.append_option(value));
            Arc::new(builder.finish())
        }
        Kind::Timestamp => {
            let mut builder = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            ints.for_each(|value| builder.append_option(value));
            Arc::new(builder.finish())
        }
        Kind::Address | Kind::Mac => {
            let width = if column.kind == Kind::Address { 16 } else { 6 };
            let mut builder = FixedSizeBinaryBuilder::new(width);
            octets.for_each(|value| match value {
                Some(octets) => builder.append_value(octets).unwrap(),
                None => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        Kind::Binary => {
            let mut builder = BinaryBuilder::new();
            octets.for_each(|value| builder.append_option(value));
            Arc::new(builder.finish())
        }
        Kind::Text => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| match cell {
                Some(Cell::Text(text)) => builder.append_value(text),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        Kind::Float64 | Kind::Boolean => unreachable!("no column of the table"),
        Kind::Labels | Kind::Other => nested(column, cells),
    }
}

fn nested<'a>(column: &Column, cells: impl Iterator<Item = Option<&'a Cell>>) -> ArrayRef {
    if column.kind == Kind::Labels {
        let mut builder = ListBuilder::new(Int32Builder::new()).with_field(label_item());
        cells.for_each(|cell| match cell {
            Some(Cell::Labels(labels)) => builder.append_value(labels.iter().copied().map(Some)),
            _ => builder.append_null(),
        });
        return Arc::new(builder.finish());
    }
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let value_field = Arc::new(Field::new("value", arrow_schema::DataType::Binary, false));
    let mut builder = MapBuilder::new(Some(names), Int64Builder::new(), BinaryBuilder::new())
        .with_values_field(value_field);
    cells.for_each(|cell| match cell {
        Some(Cell::Other(entries)) => {
            for (key, octets) in entries {
                builder.keys().append_value(*key);
                builder.values().append_value(octets);
            }
            builder.append(true).unwrap();
        }
        _ => builder.append(false).unwrap(),
    });
    Arc::new(builder.finish())
}

/// A directory of fixtures and the program run on it.
pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// With one file, `a.parquet`.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let bench = Self::empty();
        write(&bench.path("a.parquet"), rows, &Fixture::default());
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs `flowdump` with `args`, where `@` stands for the directory; exit code
    /// and both streams as text with what changes from run to run redacted.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run_raw(args);
        let mut text = format!("exit: {code}\n");
        for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
            if !stream.is_empty() {
                text += &format!("--- {name}\n{}", self.redacted(&stream));
            }
        }
        text
    }

    /// As [`Bench::run`] with `-r` the directory and times in UTC.
    pub(crate) fn query(&self, args: &[&str]) -> String {
        self.run(&[&["-r", "@", "--utc"], args].concat())
    }

    pub(crate) fn run_raw(&self, args: &[&str]) -> (u8, String, String) {
        let directory = self.directory.path().to_str().unwrap();
        // `bps@5m` is about a span.
        let is_span = |arg: &str| {
            arg.split('@').nth(1).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        let args = args.iter().map(|arg| match is_span(arg) {
            true => OsString::from(arg),
            false => OsString::from(arg.replace('@', directory)),
        });
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let env = Env { now: NOW, zone: Zone::Fixed(7_200) };
        let args = std::iter::once("flowdump".into()).chain(args);
        let code = flow_query::run(args, &mut stdout, &mut stderr, env);
        (code, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    fn redacted(&self, text: &str) -> String {
        let directory = self.directory.path().to_str().unwrap();
        let mut redacted = String::new();
        for line in text.replace(directory, "[DIR]").lines() {
            let line = match line {
                line if line.starts_with("Sys: ") => "Sys: [TIMES]",
                // The time it took ends the summary for programs.
                line if line.starts_with("{\"flows\"") => {
                    line.split_once(",\"wall_secs").map_or(line, |(head, _)| head)
                }
                line => line,
            };
            match line.split_once("Bytes read: ") {
                Some((head, _)) => redacted += &format!("{head}Bytes read: [BYTES]"),
                None => redacted += line,
            }
            redacted += "\n";
        }
        redacted
    }
}

/// The sample of nfdump's census: one flow of every kind the tables treat apart.
pub(crate) fn sample() -> Vec<Row> {
    let tcp = Row::flow((100, 61_234), 6, ("192.168.1.10", 52_344), ("93.184.216.34", 443), (42, 15_234))
        .int(ColumnId::TcpFlags, 0x1b)
        .int(ColumnId::SrcTos, 0)
        .int(ColumnId::SrcAs, 64_512)
        .int(ColumnId::DstAs, 15_133)
        .int(ColumnId::InIf, 1)
        .int(ColumnId::OutIf, 2);
    let back =
        Row::flow((120, 61_230), 6, ("93.184.216.34", 443), ("192.168.1.10", 52_344), (1_290, 1_834_567))
            .int(ColumnId::TcpFlags, 0x1a)
            .int(ColumnId::SrcTos, 72);
    let echo = Row::flow((0, 999_000), 1, ("10.0.0.5", 0), ("192.168.1.20", 2_048), (1_000, 84_000));
    let neighbour = Row::flow((0, 100_000), 58, ("fe80::1", 0), ("ff02::1", 0), (10, 1_040))
        .without(ColumnId::SrcPort)
        .without(ColumnId::DstPort)
        .int(ColumnId::IcmpType, 134)
        .int(ColumnId::IcmpCode, 0);
    vec![
        Row::flow((0, 0), 17, ("192.168.1.10", 51_000), ("8.8.8.8", 53), (1, 72)),
        tcp,
        back,
        echo,
        Row::flow((0, 290_000), 47, ("10.1.1.1", 0), ("10.2.2.2", 0), (98_765_432, 123_456_789_012)),
        Row::flow((0, 90_061_001), 17, ("10.1.1.1", 500), ("10.2.2.2", 500), (2_000_000, 2_500_000_000)),
        Row::flow((0, 12_345), 6, ("2001:db8:1:2:3:4:5:6", 45_678), ("2606:4700:10::1111", 853), (33, 9_876)),
        neighbour,
    ]
}
