//! Blocking netlink for programs that write much and must know what became of it.
//!
//! - **Batches**: [`Connection::execute`] puts many requests into one send and asks for the
//!   acknowledgement of the last alone. The kernel answers in order and always reports failures, so the
//!   last answer tells the outcome of all.
//! - **Outcomes**: one for each request, in the same order. An answer that the kernel dropped is
//!   reported as [`Failure::Lost`], never taken for success.
//! - **Dumps**: [`Connection::dump`] hands over entry by entry and says whether the kernel's table
//!   changed meanwhile ([`Integrity`]). A truncated datagram is an error, never a short list.
//!
//! The requests' types come from the crates of the netlink-packet family, for example
//! netlink-packet-route; [`generic`] resolves generic-netlink families.
//!
//! # A tour
//!
//! ```no_run
//! use netlink::{Connection, Failure, Integrity, Protocol, Request};
//! use netlink_packet_generic::GenlMessage;
//! use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
//!
//! let mut connection = Connection::open(Protocol::Generic)?;
//! let list = GenlMessage::from_payload(GenlCtrl {
//!     cmd: GenlCtrlCmd::GetFamily,
//!     nlas: Vec::new(),
//! });
//!
//! // A list: entry by entry, and whether it is whole.
//! let mut families = 0;
//! let integrity = connection.dump(&list, |_payload| {
//!     families += 1;
//!     Ok(())
//! })?;
//! assert_eq!(integrity, Integrity::Whole);
//!
//! // Changes: as many as there are, an outcome for each.
//! let requests = (0..1_000).map(|_| Request { message: list.clone(), flags: 0 });
//! for outcome in connection.execute(requests) {
//!     match outcome {
//!         Ok(()) => {}
//!         Err(Failure::Refused { errno, .. }) => println!("refused: {errno}"),
//!         Err(Failure::Lost) => println!("unknown: read to find out"),
//!         Err(Failure::NotSent(error)) => println!("not done: {error}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tests bring a [`Transport`] of their own to [`Connection::over`].

mod connection;
mod error;
pub mod generic;
mod transport;

pub use connection::{Connection, Integrity, Request};
pub use error::{DumpError, Errno, Failure, OpenError};
pub use transport::{Protocol, Socket, Transport};
