//! Reads the connection table of IPVS from `/proc/net/ip_vs_conn`, one entry at a time.
//!
//! The kernel keeps no snapshot for a reader. A connection that begins or ends meanwhile may be
//! missing, and any entry may appear twice. Kernels before 6.14 search the table from its beginning
//! for every 4 KiB (`ip_vs_conn_array`, `net/netfilter/ipvs/ip_vs_conn.c`), so that the time of a
//! reading grows with the square of the number of connections.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _};
use std::ops::ControlFlow;

use ipvs::connection::{Connection, is_header, parse_connection};

use crate::linux::modules::kernel_release;

/// The file, in the network namespace of the calling thread.
const PATH: &str = "/proc/thread-self/net/ip_vs_conn";

/// Maximum length of a line in bytes. The kernel's lines are shorter than 400 bytes.
const MAX_LINE: u64 = 4096;

/// Reason why the connections could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionsError {
    /// The kernel has no connection table.
    #[error(
        "the kernel has no /proc/net/ip_vs_conn: load IPVS (modprobe ip_vs); kernel {release} may \
         be built without it"
    )]
    NoTable {
        /// Release of the running kernel.
        release: String,
    },
    /// The process may not read the table.
    #[error(
        "not permitted to read /proc/net/ip_vs_conn: run as root, in the network namespace of the host"
    )]
    NotPermitted(#[source] io::Error),
    /// The table could not be read.
    #[error("failed to read /proc/net/ip_vs_conn")]
    Read(#[source] io::Error),
    /// A line has another format.
    #[error("line {line} of /proc/net/ip_vs_conn cannot be parsed")]
    Line {
        /// Number of the line, starting at 1.
        line: u64,
        /// The cause.
        source: ipvs::connection::ConnectionError,
    },
    /// A line is too long.
    #[error("line {line} of /proc/net/ip_vs_conn is longer than {MAX_LINE} bytes")]
    Long {
        /// Number of the line, starting at 1.
        line: u64,
    },
}

/// Calls `each` for every entry of the connection table, in the kernel's order, until it breaks.
///
/// # Errors
///
/// Fails if the table does not exist, or cannot be read to its end. Earlier entries have been
/// passed to `each`.
pub fn each_connection(
    each: impl FnMut(Connection) -> ControlFlow<()>,
) -> Result<(), ConnectionsError> {
    let file = File::open(PATH).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ConnectionsError::NoTable {
            release: kernel_release(),
        },
        ErrorKind::PermissionDenied => ConnectionsError::NotPermitted(error),
        _ => ConnectionsError::Read(error),
    })?;
    each_of(BufReader::new(file), each)
}

/// Calls `each` for every entry of `table`, text in the format of the file, until it breaks.
///
/// # Errors
///
/// As [`each_connection`].
pub fn each_of(
    mut table: impl BufRead,
    mut each: impl FnMut(Connection) -> ControlFlow<()>,
) -> Result<(), ConnectionsError> {
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let limited = &mut (&mut table).take(MAX_LINE);
        let length = (limited.read_until(b'\n', &mut bytes)).map_err(ConnectionsError::Read)?;
        if length == 0 {
            break;
        }
        if bytes.last() != Some(&b'\n') && limited.limit() == 0 {
            return Err(ConnectionsError::Long { line });
        }
        // A persistence engine may show bytes from packets.
        let text = String::from_utf8_lossy(&bytes);
        if text.trim().is_empty() || (line == 1 && is_header(&text)) {
            continue;
        }
        let connection =
            parse_connection(&text).map_err(|source| ConnectionsError::Line { line, source })?;
        if each(connection).is_break() {
            break;
        }
    }
    Ok(())
}
