//! `-E`: every flow record as nfcapd prints it, in nfcapd's order, and behind
//! it whatever else the record has.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::ops::Range;

use chrono::{DateTime, TimeZone};
use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, ColumnId, Kind};
use flow_common::element::ElementKey;
use flow_common::limits;
use flow_common::proto::{Protocol, TcpFlags};
use flow_common::time::Timestamp;

use crate::flow::FlowBatch;

/// Columns that nfcapd's block shows; the rest follows it.
const IN_BLOCK: [ColumnId; 20] = [
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::SrcAddr,
    ColumnId::DstAddr,
    ColumnId::SrcPort,
    ColumnId::DstPort,
    ColumnId::IcmpType,
    ColumnId::IcmpCode,
    ColumnId::ForwardingStatus,
    ColumnId::TcpFlags,
    ColumnId::Protocol,
    ColumnId::SrcTos,
    ColumnId::Packets,
    ColumnId::Bytes,
    ColumnId::InIf,
    ColumnId::OutIf,
    ColumnId::SrcAs,
    ColumnId::DstAs,
    ColumnId::SamplingRate,
    ColumnId::SamplingSource,
];

/// Prints records; numbers exporters in order of appearance.
#[derive(Debug)]
pub(crate) struct Echo<Z> {
    zone: Z,
    exporters: HashMap<([u8; 16], Option<i64>), usize>,
}

impl<Z: TimeZone> Echo<Z>
where
    Z::Offset: std::fmt::Display,
{
    pub(crate) fn new(zone: Z) -> Self {
        Self { zone, exporters: HashMap::new() }
    }

    /// The records `rows` of a batch.
    pub(crate) fn text(&mut self, batch: &FlowBatch, rows: Range<usize>) -> Vec<u8> {
        let mut text = Vec::new();
        for row in rows {
            // Writing to memory does not fail.
            let _ = self.record(&mut text, batch, row);
        }
        text
    }

    fn record(&mut self, out: &mut Vec<u8>, batch: &FlowBatch, row: usize) -> io::Result<()> {
        let number = |column| batch.integer(column, row).unwrap_or_default();
        let address = |column| {
            batch
                .address_at(column, row)
                .map_or(Ipv4Addr::UNSPECIFIED.to_string(), |addr| Addr16(addr).to_string())
        };
        let sampling = match batch.integer(ColumnId::SamplingRate, row) {
            Some(rate) => format!(" Sampled 1:{rate}"),
            None => " Unsampled".to_owned(),
        };
        let flags = TcpFlags(number(ColumnId::TcpFlags) as u16);
        let six = String::from_utf8_lossy(&flags.letters()[2..]).into_owned();
        let protocol = Protocol(number(ColumnId::Protocol) as u8);
        let sysid = self.sysid(batch, row);
        let first = self.time(number(ColumnId::FlowStart));
        let last = self.time(number(ColumnId::FlowEnd));
        writeln!(out, "\nFlow Record: ")?;
        line(out, "Flags", "0x00", &sampling)?;
        line(out, "export sysid", sysid, "")?;
        line(out, "size", size(batch, row), "")?;
        line(out, "first", first.0, &first.1)?;
        line(out, "last", last.0, &last.1)?;
        line(out, "msec_first", first.2, "")?;
        line(out, "msec_last", last.2, "")?;
        line(out, "src addr", address(ColumnId::SrcAddr), "")?;
        line(out, "dst addr", address(ColumnId::DstAddr), "")?;
        match (batch.integer(ColumnId::IcmpType, row), batch.integer(ColumnId::IcmpCode, row)) {
            (Some(icmp_type), code) => {
                line(out, "ICMP", format!("{icmp_type}.{}", code.unwrap_or_default()), " type.code")?;
            }
            _ => {
                line(out, "src port", number(ColumnId::SrcPort), "")?;
                line(out, "dst port", number(ColumnId::DstPort), "")?;
            }
        }
        line(out, "fwd status", number(ColumnId::ForwardingStatus), "")?;
        line(out, "tcp flags", format!("0x{:02x}", flags.0), &format!(" {six}"))?;
        line(out, "proto", protocol.0, &protocol.name().map(|name| format!(" {name}")).unwrap_or_default())?;
        line(out, "(src)tos", number(ColumnId::SrcTos), "")?;
        line(out, "(in)packets", number(ColumnId::Packets), "")?;
        line(out, "(in)bytes", number(ColumnId::Bytes), "")?;
        line(out, "input", number(ColumnId::InIf), "")?;
        line(out, "output", number(ColumnId::OutIf), "")?;
        line(out, "src as", number(ColumnId::SrcAs), "")?;
        line(out, "dst as", number(ColumnId::DstAs), "")?;
        for column in COLUMNS.iter().filter(|column| !IN_BLOCK.contains(&column.id)) {
            if let Some(value) = value_text(batch, column.id, row) {
                line(out, column.raw, value, "")?;
            }
        }
        for (key, bytes) in batch.other_at(row) {
            line(out, &element_name(key), hex(bytes), "")?;
        }
        Ok(())
    }

    /// Number of the record's exporter, from 1; 0 beyond those remembered.
    fn sysid(&mut self, batch: &FlowBatch, row: usize) -> usize {
        let addr = batch.address_at(ColumnId::ExporterAddr, row).unwrap_or_default();
        let key = (addr, batch.integer(ColumnId::ObservationDomain, row));
        let next = self.exporters.len() + 1;
        match self.exporters.get(&key) {
            Some(&sysid) => sysid,
            None if next > limits::FOOTER_EXPORTERS_MAX => 0,
            None => *self.exporters.entry(key).or_insert(next),
        }
    }

    /// Seconds, the same as a date in brackets, and milliseconds.
    fn time(&self, micros: i64) -> (i64, String, i64) {
        let time = Timestamp(micros);
        let date = time.to_utc().map(|utc| utc.with_timezone(&self.zone));
        let text = |date: DateTime<Z>| format!(" [{}]", date.format("%Y-%m-%d %H:%M:%S"));
        (time.secs(), date.map(text).unwrap_or_default(), time.millis().rem_euclid(1_000))
    }
}

fn line(out: &mut impl Write, key: &str, value: impl std::fmt::Display, suffix: &str) -> io::Result<()> {
    writeln!(out, "  {key:<12} = {:>17}{suffix}", value.to_string())
}

/// Octets of the values the record has.
fn size(batch: &FlowBatch, row: usize) -> usize {
    let of = |column: &flow_common::column::Column| match column.kind {
        Kind::Int32 => batch.integer(column.id, row).map_or(0, |_| 4),
        Kind::Int64 | Kind::Timestamp => batch.integer(column.id, row).map_or(0, |_| 8),
        Kind::Address => batch.address_at(column.id, row).map_or(0, |addr| addr.len()),
        Kind::Mac => batch.mac_at(column.id, row).map_or(0, |mac| mac.len()),
        Kind::Text | Kind::Binary => batch.bytes_at(column.id, row).map_or(0, <[u8]>::len),
        Kind::Labels => 4 * batch.labels_at(row).len(),
        Kind::Other => batch.other_at(row).map(|(_, bytes)| bytes.len()).sum(),
        Kind::Float64 | Kind::Boolean => 0,
    };
    COLUMNS.iter().map(of).sum()
}

/// One value as text; `None` where the record has none.
fn value_text(batch: &FlowBatch, column: ColumnId, row: usize) -> Option<String> {
    match column.column().kind {
        Kind::Timestamp => {
            let utc = Timestamp(batch.integer(column, row)?).to_utc()?;
            Some(utc.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        }
        Kind::Int32 | Kind::Int64 => batch.integer(column, row).map(|value| value.to_string()),
        Kind::Address => batch.address_at(column, row).map(|addr| Addr16(addr).to_string()),
        Kind::Mac => batch.mac_at(column, row).map(|mac| Mac(mac).to_string()),
        // Text from the wire must not reach a terminal as it is.
        Kind::Text => batch.bytes_at(column, row).map(|text| text.escape_ascii().to_string()),
        Kind::Binary => batch.bytes_at(column, row).map(hex),
        Kind::Labels => {
            let labels = batch.labels_at(row);
            let text = |&label: &i32| format!("{}-{}-{}", label >> 4, label >> 1 & 7, label & 1);
            (!labels.is_empty()).then(|| labels.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        Kind::Float64 | Kind::Boolean | Kind::Other => None,
    }
}

fn element_name(key: i64) -> String {
    let (element, occurrence) = ElementKey::from_other_key(key);
    let name = match element.lookup() {
        Some(known) if element.pen == 0 => known.name.to_owned(),
        Some(known) => format!("reverse {}", known.name),
        None => format!("{}:{}", element.pen, element.id),
    };
    if occurrence > 0 { format!("{name}#{occurrence}") } else { name }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |text, octet| text + &format!("{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn a_record_prints_as_nfcapd_prints_it() {
        let mut batch = FlowBatch::default();
        let start = 1_432_984_959_400_000;
        for (column, value) in
            [(ColumnId::FlowStart, start), (ColumnId::FlowEnd, start), (ColumnId::Packets, 3)]
        {
            batch.int64(column).push(Some(value));
        }
        for (column, value) in [(ColumnId::Bytes, 322), (ColumnId::InIf, 167), (ColumnId::OutIf, 173)] {
            batch.int64(column).push(Some(value));
        }
        for (column, value) in
            [(ColumnId::SrcPort, 9200), (ColumnId::DstPort, 39705), (ColumnId::Protocol, 6)]
        {
            batch.int32(column).push(Some(value));
        }
        for (column, last) in [(ColumnId::SrcAddr, 15), (ColumnId::DstAddr, 14)] {
            batch.address(column).push(Some(Addr16::from_v4([192, 168, 44, last]).0));
        }
        batch.variable(ColumnId::ApplicationName).push(Some(b"a\x1b[31m"));
        let maps = batch.maps(ColumnId::Other);
        maps.keys.push(ElementKey::iana(82).to_other_key(1));
        maps.values.push(Some(b"ab"));
        maps.ends.push(1);
        batch.add_rows(1);
        let out = Echo::new(Utc).text(&batch, 0..1);
        let expected = "
Flow Record: 
  Flags        =              0x00 Unsampled
  export sysid =                 1
  size         =               100
  first        =        1432984959 [2015-05-30 11:22:39]
  last         =        1432984959 [2015-05-30 11:22:39]
  msec_first   =               400
  msec_last    =               400
  src addr     =     192.168.44.15
  dst addr     =     192.168.44.14
  src port     =              9200
  dst port     =             39705
  fwd status   =                 0
  tcp flags    =              0x00 ......
  proto        =                 6 TCP
  (src)tos     =                 0
  (in)packets  =                 3
  (in)bytes    =               322
  input        =               167
  output       =               173
  src as       =                 0
  dst as       =                 0
  app name     =         a\\x1b[31m
  interfaceName#1 =            0x6162
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
