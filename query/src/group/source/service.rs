//! Destination ports with ICMP's type and code in their place, which many exporters tell in
//! columns of their own.

use std::sync::Arc;

use flow_common::column::ColumnId;

use crate::batch::{Batch, Cells};
use crate::flow::is_icmp;
use crate::values::{Column, Dictionary, Values};

/// Types and codes that get values of their own beside those of ports: all there are.
const VALUES_MAX: usize = 1 << 16;

/// What dictionaries of ports, types and codes became.
#[derive(Default)]
pub(super) struct Services(Option<Known>);

struct Known {
    /// Of which dictionaries it was made.
    of: [u64; 3],
    /// Ports, and behind these each type with each code, that of NULL the last.
    dictionary: Arc<Dictionary>,
}

impl Services {
    /// The values of all rows; `None` where none has type and code in columns of their own.
    pub(super) fn compute(&mut self, batch: &Batch) -> Option<Column> {
        match batch.cells(ColumnId::IcmpType) {
            Cells::Absent => None,
            _ => self.by_ids(batch).or_else(|| Some(by_rows(batch))),
        }
    }

    /// As ids, where all columns have dictionaries.
    fn by_ids(&mut self, batch: &Batch) -> Option<Column> {
        let of = |id: ColumnId| match batch.column(id.into())? {
            Column::Ids { dictionary, ids } => match &dictionary.values {
                Values::Ints(values) => Some((dictionary.id, values.as_slice(), ids.as_slice())),
                _ => None,
            },
            _ => None,
        };
        let (_, protocols, protocol_ids) = of(ColumnId::Protocol)?;
        let (port_dictionary, ports, port_ids) = of(ColumnId::DstPort)?;
        let (type_dictionary, types, type_ids) = of(ColumnId::IcmpType)?;
        let (code_dictionary, codes, code_ids) = of(ColumnId::IcmpCode)?;
        if types.len().saturating_mul(codes.len() + 1) > VALUES_MAX {
            return None;
        }
        let made_of = [port_dictionary, type_dictionary, code_dictionary];
        if self.0.as_ref().is_none_or(|known| known.of != made_of) {
            let all_codes = || codes.iter().copied().chain([0]);
            let services =
                types.iter().flat_map(|icmp_type| all_codes().map(|code| service(*icmp_type, code)));
            let values = Values::Ints(ports.iter().copied().chain(services).collect());
            self.0 = Some(Known { of: made_of, dictionary: Arc::new(Dictionary::new(values)) });
        }
        let dictionary = Arc::clone(&self.0.as_ref()?.dictionary);
        let are_icmp: Vec<bool> =
            protocols.iter().map(|&protocol| is_icmp(Some(protocol))).chain([false]).collect();
        let null = dictionary.len() as u32;
        let own = port_ids.iter().zip(protocol_ids).zip(type_ids.iter().zip(code_ids));
        let ids = own.map(|((&port, &protocol), (&icmp_type, &code))| {
            if are_icmp[protocol as usize] && (icmp_type as usize) < types.len() {
                return (ports.len() + icmp_type as usize * (codes.len() + 1) + code as usize) as u32;
            }
            if (port as usize) < ports.len() { port } else { null }
        });
        Some(Column::Ids { ids: ids.collect(), dictionary })
    }
}

fn service(icmp_type: i64, code: i64) -> i64 {
    (icmp_type & 0xff) << 8 | code & 0xff
}

fn by_rows(batch: &Batch) -> Column {
    let [icmp_type, port, code, protocol] =
        [ColumnId::IcmpType, ColumnId::DstPort, ColumnId::IcmpCode, ColumnId::Protocol]
            .map(|id| batch.cells(id));
    let value = |row| match icmp_type.int(row) {
        Some(icmp_type) if is_icmp(protocol.int(row)) => Some(service(icmp_type, code.int(row).unwrap_or(0))),
        _ => port.int(row),
    };
    Column::ints((0..batch.rows()).map(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column by its dictionary; what is behind its end is NULL.
    fn ids(values: &[i64], ids: &[u32]) -> Column {
        let dictionary = Arc::new(Dictionary::new(Values::Ints(values.to_vec())));
        Column::Ids { dictionary, ids: ids.to_vec() }
    }

    fn numbers(column: &Column, rows: usize) -> Vec<Option<i64>> {
        (0..rows).map(|row| column.cells().int(row)).collect()
    }

    #[test]
    fn ids_say_what_rows_say() {
        let mut batch = Batch::new(6, &Arc::from([]));
        let mut services = Services::default();
        batch.set(ColumnId::Protocol.into(), ids(&[6, 1, 58], &[0, 1, 2, 1, 3, 1]));
        batch.set(ColumnId::DstPort.into(), ids(&[443, 2048], &[0, 1, 2, 1, 0, 2]));
        assert!(services.compute(&batch).is_none(), "no columns of ICMP");
        batch.set(ColumnId::IcmpType.into(), ids(&[8, 256 + 3], &[0, 1, 0, 2, 1, 1]));
        let expected = [Some(443), Some(0x300), Some(0x800), Some(2048), Some(443), Some(0x300)];
        assert_eq!(numbers(&services.compute(&batch).unwrap(), 6), expected, "no column of codes");
        batch.set(ColumnId::IcmpCode.into(), ids(&[5, 256 + 1], &[0, 0, 1, 1, 2, 2]));
        let expected = [Some(443), Some(0x305), Some(0x801), Some(2048), Some(443), Some(0x300)];
        let by_ids = services.by_ids(&batch).unwrap();
        assert_eq!(numbers(&by_ids, 6), expected);
        assert_eq!(numbers(&by_rows(&batch), 6), expected);
        // The next batch has the same dictionaries, and so the same new one.
        let (Column::Ids { dictionary: one, .. }, Some(Column::Ids { dictionary: other, .. })) =
            (&by_ids, &services.compute(&batch))
        else {
            panic!("not by ids");
        };
        assert_eq!(one.id, other.id);
    }
}
