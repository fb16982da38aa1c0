//! Hash maps whose keys senders choose.
//!
//! Every datagram asks several; SipHash over an address, a port and a domain took a
//! sixth of all decoding. The seed is random, so nobody can aim at one bucket, and
//! no result depends on the order of a map.

/// A map from what senders choose.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::quality::RandomState>;
