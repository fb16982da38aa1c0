//! How many datagrams the kernel dropped on a socket: the only `unsafe` code of
//! the collector.
//!
//! `SO_RXQ_OVFL` tells it with the next datagram received, so it says nothing of
//! the end of a burst; `SO_MEMINFO` (Linux 4.12) can be asked at any time. Neither
//! nix nor socket2 offers it.

#![expect(unsafe_code, reason = "getsockopt(2) of an option that no safe crate offers")]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Words of SO_MEMINFO (`SK_MEMINFO_VARS`), and the one that counts drops
/// (`SK_MEMINFO_DROPS`), linux/sock_diag.h.
const WORDS: usize = 9;
const DROPS: usize = 8;

/// Datagrams dropped since the socket was made, modulo 2³²; `None` where the
/// kernel does not tell.
pub(super) fn count(socket: BorrowedFd<'_>) -> Option<u32> {
    let mut words = [0u32; WORDS];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets, the size of `words`, and
    // stores how many; both outlive the call and the descriptor is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            (&raw mut words).cast::<c_void>(),
            &raw mut length,
        )
    };
    let is_whole = length as usize == size_of_val(&words);
    (result == 0 && is_whole).then_some(words[DROPS])
}
