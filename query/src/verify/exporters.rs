//! `-E`: who exported the flows of files, from footers, and their sampling rates, from the side
//! tables of their trees.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use flow_common::addr::Addr16;
use flow_common::footer::Exporter;
use flow_common::layout::STATE_DIR;
use flow_common::tables::{RateRow, RateScope, Row};

use super::listed;
use crate::anonymize;
use crate::catalog;
use crate::interrupt;
use crate::message::{DONE, Failure, PARTIAL, say};
use crate::request::Request;
use crate::scan::{Depth, read_table};

/// Who: address, version, domain.
type Key = (Option<IpAddr>, u16, Option<u32>);

/// Writes a line for each exporter, and one for each rate it told.
pub(crate) fn exporters(
    request: &Request,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    let (files, mut is_partial) = listed(request, stderr)?;
    let mut exporters: BTreeMap<Key, Exporter> = BTreeMap::new();
    let mut roots: BTreeSet<PathBuf> = BTreeSet::new();
    for mut found in files {
        interrupt::check()?;
        match found.open(Depth::Footer) {
            Ok(file) => {
                for exporter in file.footer.iter().flat_map(|footer| &footer.exporters) {
                    add(&mut exporters, exporter);
                }
                roots.insert(catalog::root_of(&found.path).to_owned());
            }
            Err(error) if error.is_absence() => {}
            Err(error) => {
                is_partial = true;
                say(stderr, "error", &format!("can't read `{}`: {error}", found.path.display()));
            }
        }
    }
    let mut rates: Vec<RateRow> = Vec::new();
    for root in roots {
        let path = root.join(STATE_DIR).join(RateRow::FILE);
        match read_table::<RateRow>(&path) {
            Ok(rows) => rates.extend(rows),
            Err(error) if error.is_absence() => {}
            Err(error) => {
                is_partial = true;
                say(stderr, "error", &format!("can't read `{}`: {error}", path.display()));
            }
        }
    }
    if !request.style.is_quiet {
        writeln!(stdout, "Exporters:")?;
    }
    for (number, exporter) in (1..).zip(exporters.values()) {
        let by = request.anonymizer.as_deref();
        let addr = exporter.addr.map(|addr| anonymize::exporter(by, addr));
        write_exporter(stdout, number, addr, exporter)?;
        rates.iter().filter(|rate| is_of(rate, exporter)).try_for_each(|rate| write_rate(stdout, rate))?;
    }
    Ok(if is_partial { PARTIAL } else { DONE })
}

fn add(exporters: &mut BTreeMap<Key, Exporter>, more: &Exporter) {
    let key = (more.addr, more.version, more.domain);
    let Some(known) = exporters.get_mut(&key) else {
        exporters.insert(key, more.clone());
        return;
    };
    known.add(more);
}

fn is_of(rate: &RateRow, exporter: &Exporter) -> bool {
    exporter.addr.map(Addr16::from) == Some(rate.exporter_addr)
        && i64::from(exporter.version) == i64::from(rate.export_version)
        && exporter.domain.map_or(0, i64::from) == rate.observation_domain
}

/// nfdump's line, and behind it what it has none of.
fn write_exporter(
    out: &mut dyn Write,
    number: u32,
    addr: Option<IpAddr>,
    exporter: &Exporter,
) -> io::Result<()> {
    let addr = addr.map_or("others".to_owned(), |addr| addr.to_string());
    let version = match exporter.version {
        10 => "ipfix".to_owned(),
        105 => "sflow".to_owned(),
        version => format!("netflow v{version}"),
    };
    let Exporter { gaps, datagrams, flows, events, lost, lost_unit, waiting, .. } = exporter;
    let id = exporter.domain.unwrap_or(0);
    write!(
        out,
        "SysID: {number}, IP: {addr:>16}, version: {version}, ID: {id}, Sequence failures: {gaps}, \
         packets: {datagrams}, flows: {flows}"
    )?;
    if *events > 0 {
        write!(out, ", events: {events}")?;
    }
    if *lost > 0 {
        write!(out, ", lost: {lost} {lost_unit}")?;
    }
    if *waiting > 0 {
        write!(out, ", without template: {waiting} packets")?;
    }
    writeln!(out)
}

fn write_rate(out: &mut dyn Write, rate: &RateRow) -> io::Result<()> {
    let of = match rate.scope {
        RateScope::Domain => "Generic Sampler:".to_owned(),
        RateScope::Sampler => format!("Sampler: id: {},", rate.scope_id),
        RateScope::Interface => format!("Sampler: interface: {},", rate.scope_id),
    };
    writeln!(out, "    {of} one packet of {}", rate.rate)
}
