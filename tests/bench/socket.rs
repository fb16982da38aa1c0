//! What the kernel says of a collector's socket.

use std::fs;

/// A UDP socket, as its collector leaves it.
#[derive(Debug, Clone, Copy)]
pub struct SocketState {
    /// Memory of what waits in it, octets.
    pub queued_bytes: u64,
    /// Datagrams the kernel dropped for want of room.
    pub dropped: u64,
}

/// What the kernel says of the UDP socket bound to a port.
pub fn socket_state(port: u16) -> Option<SocketState> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let local = format!(":{port:04X}");
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Where a sender has it for its remote port, it is another socket.
    let row = rows.into_iter().find(|row| row.get(1).is_some_and(|addr| addr.ends_with(&local)))?;
    let (_, queued) = row.get(4)?.split_once(':')?;
    let queued_bytes = u64::from_str_radix(queued, 16).ok()?;
    Some(SocketState { queued_bytes, dropped: row.last()?.parse().ok()? })
}
