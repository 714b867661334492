//! The users whose processes listen at a port of this network namespace.

#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Listening sockets in the kernel's tables (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`; `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// Returns true if processes listen at `port`, and all of them belong to users that are neither root nor the user of this process. False
/// where the kernel's tables cannot be read.
pub(super) fn are_of_others(port: u16) -> bool {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let tables = tables.map(|path| fs::read_to_string(path).unwrap_or_default());
    let own = fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let users: Vec<u32> = (tables.iter())
        .flat_map(|table| users(table, port))
        .collect();
    !users.is_empty() && users.iter().all(|user| *user != 0 && *user != own)
}

/// Returns the users of the sockets that listen at `port`, by a table of the form of `/proc/net/tcp`.
fn users(table: &str, port: u16) -> impl Iterator<Item = u32> {
    table.lines().filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, at) = fields.nth(1)?.rsplit_once(':')?;
        let is_listening = fields.nth(1)? == LISTEN;
        let user = fields.nth(3)?.parse().ok()?;
        let is_there = u16::from_str_radix(at, 16) == Ok(port);
        (is_listening && is_there).then_some(user)
    })
}
