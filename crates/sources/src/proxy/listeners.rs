//! Listening TCP sockets of this network namespace.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

/// States of sockets in the kernel's tables (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`;
/// `include/net/tcp_states.h`, Linux 6.1).
const LISTEN: &str = "0A";
const SYN_RECV: &str = "03";

/// A socket that listens for TCP connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Address of the listener; an unspecified address stands for every address.
    pub address: SocketAddr,
    /// User of the process that opened the socket.
    pub user: u32,
    /// Inode, by which a process's descriptors refer to the socket.
    pub inode: u64,
}

/// Returns the listening sockets. The cost grows with their number, not with the number of
/// connections.
///
/// # Errors
///
/// The kernel's table of IPv4 cannot be read.
pub fn listeners() -> io::Result<Vec<Listener>> {
    let mut all = read(BufReader::new(File::open("/proc/self/net/tcp")?))?;
    // A kernel without IPv6 has no such table.
    if let Ok(table) = File::open("/proc/self/net/tcp6") {
        all.extend(read(BufReader::new(table))?);
    }
    Ok(all)
}

/// Returns true if processes listen at `port` and none of them belongs to root or to the user of
/// this process. Returns false if the kernel's tables cannot be read.
pub(super) fn are_of_others(port: u16) -> bool {
    let own = fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let mut all = listeners().unwrap_or_default();
    all.retain(|listener| listener.address.port() == port);
    let is_other = |listener: &Listener| listener.user != 0 && listener.user != own;
    !all.is_empty() && all.iter().all(is_other)
}

/// Reads the listeners of a table in the format of `/proc/net/tcp`. They are at the start, in old
/// kernels mixed with connection requests (`tcp_seek_last_pos`). Reading ends after them.
fn read(table: impl BufRead) -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let line = line?;
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields.get(3) {
            Some(&LISTEN) => found.extend(listener(&fields)),
            Some(&SYN_RECV) => {}
            _ => break,
        }
    }
    Ok(found)
}

fn listener(fields: &[&str]) -> Option<Listener> {
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Listener {
        address: SocketAddr::new(ip(address)?, port),
        user: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses an address as the kernel prints it: 32-bit words in the byte order of the processor.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(8 * at..8 * at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(word(0)?.into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}
