//! The text format of `ipvsadm-save -n` and `ipvsadm-restore`.
//!
//! A printed line is the same as that of Debian's ipvsadm 1.31 for the same entry (`ipvsadm.c`,
//! `print_service_entry` with `FMT_RULE`), except that it has no trailing blank, and has options
//! that ipvsadm lacks or omits:
//!
//! - thresholds (`-x`, `-y`), which `ipvsadm-restore` accepts and `ipvsadm-save` does not print;
//! - `--protocol-N` for protocols other than TCP, UDP and SCTP;
//! - `--local`, `--bypass` and `--forwarding-N` for forwarding methods other than `-m`, `-g` and
//!   `-i`;
//! - numbers for unknown tunnel types.
//!
//! A printed line parses to the same entry if the entry is [valid](crate::validate).
//!
//! ```
//! use ipvs::text::{Line, parse_line, print_virtual_server};
//!
//! let line = "-A -t 10.96.0.10:80 -s rr -p 10800";
//! let Line::VirtualServer(server) = parse_line(line)? else { unreachable!() };
//! assert_eq!(server.persistence_timeout.as_secs(), 3 * 60 * 60);
//! assert_eq!(print_virtual_server(&server), line);
//! # Ok::<(), String>(())
//! ```

mod parse;
mod print;
mod sync_daemon;
#[cfg(test)]
mod tests;

pub use parse::{Line, ParseError, parse_line, parse_lines, scheduler_flag};
pub use print::{print_real_server, print_service_selector, print_virtual_server, scheduler_flags};
pub use sync_daemon::{parse_sync_daemon, print_sync_daemon};
