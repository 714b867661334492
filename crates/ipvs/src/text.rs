//! The text of `ipvsadm-save -n` and `ipvsadm-restore`: what operators read, write and keep.
//!
//! A printed line is what Debian's ipvsadm 1.31 prints for the same entry (`ipvsadm.c`,
//! `print_service_entry` with `FMT_RULE`), without its trailing blank, and with what ipvsadm has no
//! words for or forgets:
//!
//! - thresholds (`-x`, `-y`), which `ipvsadm-restore` takes and `ipvsadm-save` does not print;
//! - `--protocol-N` for protocols besides TCP, UDP and SCTP; `--local`, `--bypass` and
//!   `--forwarding-N` for forwarding methods besides `-m`, `-g` and `-i`; numbers for tunnel types.
//!
//! Read back, a line gives the entry that it was printed from, wherever that is
//! [valid](crate::validate).
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
#[cfg(test)]
mod tests;

pub use parse::{Line, ParseError, parse_line, parse_lines};
pub use print::{print_real_server, print_service_selector, print_virtual_server};
