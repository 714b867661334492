//! Blocking netlink for programs that send many requests and need the outcome of each.
//!
//! - **Batches**: [`Connection::execute`] sends many requests at once and requests an
//!   acknowledgement only for the last. The kernel answers in order and always reports failures, so
//!   that the last answer decides the outcome of all.
//! - **Outcomes**: one for each request, in the same order. If the kernel dropped an answer, the
//!   outcome is [`Failure::Lost`], never success.
//! - **Dumps**: [`Connection::dump`] passes entry by entry to the caller and reports if the
//!   kernel's table changed during the dump ([`Integrity`]). A truncated datagram is an error,
//!   never a short list.
//!
//! The message types come from the netlink-packet crates, for example netlink-packet-route.
//! [`generic`] resolves generic-netlink families.
//!
//! # Usage
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
//! // A list: entry by entry, with its integrity.
//! let mut families = 0;
//! let integrity = connection.dump(&list, |_payload| {
//!     families += 1;
//!     Ok(())
//! })?;
//! assert_eq!(integrity, Integrity::Whole);
//!
//! // A batch of any size, with an outcome for each request.
//! let requests = (0..1_000).map(|_| Request { message: list.clone(), flags: 0 });
//! for outcome in connection.execute(requests) {
//!     match outcome {
//!         Ok(()) => {}
//!         Err(Failure::Refused { errno, .. }) => println!("refused: {errno}"),
//!         Err(Failure::Lost) => println!("outcome unknown: read the table"),
//!         Err(Failure::NotSent(error)) => println!("not executed: {error}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tests pass their own [`Transport`] to [`Connection::over`].

mod connection;
mod error;
pub mod generic;
mod transport;

pub use connection::{Connection, Integrity, Request};
pub use error::{DumpError, Errno, Failure, OpenError};
pub use transport::{Protocol, Socket, Transport};
