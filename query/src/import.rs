//! `flowdump import`: files of other collectors as a tree of ours.
//!
//! ```text
//! nfcapd: file → blocks → records → store: columns of a row → slots: files
//! ```
//!
//! - `nfcapd`: the format of nfdump 1.7, sans I/O but for one reader
//! - `store`: what of a record goes to which column
//! - `tables`: names and rates to the side tables of the tree
//! - `slots`: rows to the files of their slots
//! - `start`: what was typed, which files, and what is said about them

mod nfcapd;
mod slots;
mod start;
mod store;
mod tables;

pub(crate) use self::start::{Asked, import};

/// Reads octets as an nfcapd file and stores nothing: for fuzzing.
pub(crate) fn read_octets(octets: &[u8]) {
    let Ok(mut reader) = nfcapd::Reader::open(std::io::Cursor::new(octets)) else { return };
    let (mut store, mut connections) = (store::Store::default(), store::Connections::default());
    let mut rows = crate::write::Rows::new(&[]);
    while let Some(block) = reader.next_block() {
        let Ok(block) = block else { continue };
        for record in nfcapd::records(&block) {
            match record {
                Ok(nfcapd::Record::Flow(flow)) => store.flow(&flow, 0, &mut connections, &mut rows),
                Ok(record) => store.told(&record),
                Err(_) => {}
            }
            if rows.is_full() {
                // Octets of any kind make rows that can be stored.
                rows.take().expect("columns of one length");
            }
        }
    }
    rows.take().expect("columns of one length");
}
