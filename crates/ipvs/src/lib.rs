//! IPVS, the Linux kernel's layer-4 load balancer: its types, `ipvsadm-save` text, and its
//! generic-netlink protocol.
//!
//! - **Words**: [`VirtualServer`] and [`RealServer`] are what is configured; [`RealServerStatus`],
//!   [`Statistics`] and [`Connections`] what goes on. Each has one [`VirtualServerKey`] or
//!   [`RealServerKey`].
//! - **Text**: [`text`] prints and parses the lines of `ipvsadm-save -n`.
//! - **Checks**: [`validate`] finds what the kernel takes in silence and cannot do.
//! - **Bytes**: [`codec`] has every command and attribute of the family `IPVS`, for those who bring a
//!   transport of their own, on the crates of the netlink-packet family.
//! - **The socket**: with the feature `client`, `client` talks to the running kernel: many changes in one
//!   send with an outcome for each, and readings that know when they are not whole.
//!
//! Nothing but `client` does any input or output.
//!
//! # A tour
//!
//! Lines as operators write them, and their errors:
//!
//! ```
//! use ipvs::text::{Line, parse_lines};
//! use ipvs::{Invalid, Protocol};
//!
//! let saved = "-A -t 10.96.0.10:80 -s wrr -o\n-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 5\n";
//! let lines = parse_lines(saved)?;
//! let [Line::VirtualServer(server), Line::RealServer(key, real)] = &lines[..] else { unreachable!() };
//! assert_eq!(*key, server.key);
//! assert_eq!(real.validate(key), Ok(()));
//! let problem = Invalid::OnePacket { protocol: Protocol::Tcp };
//! assert_eq!(server.validate(), Err(vec![problem]));
//! assert_eq!(problem.to_string(), "flags: ONE_PACKET does nothing for TCP");
//! # Ok::<(), ipvs::text::ParseError>(())
//! ```
//!
//! The same told to the kernel, and read back (feature `client`; needs `CAP_NET_ADMIN`):
//!
//! ```no_run
//! # #[cfg(feature = "client")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use ipvs::client::{Client, ErrorKind, Request};
//! use ipvs::{
//!     Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags, VirtualServer,
//!     VirtualServerKey,
//! };
//!
//! let key = VirtualServerKey::Address {
//!     address: "10.96.0.10".parse()?,
//!     port: 80,
//!     protocol: Protocol::Tcp,
//! };
//! let server = VirtualServer {
//!     key,
//!     scheduler: Scheduler("wrr".into()),
//!     flags: ServiceFlags::PERSISTENT,
//!     persistence_timeout: Duration::from_secs(600),
//!     persistence_prefix: 24,
//!     persistence_engine: None,
//! };
//! let real = RealServer {
//!     key: RealServerKey { address: "10.1.2.3".parse()?, port: 8080 },
//!     forwarding: Forwarding::Masquerade,
//!     weight: 5,
//!     upper_threshold: 0,
//!     lower_threshold: 0,
//! };
//!
//! let mut client = Client::open()?;
//! // Two changes in one send, an outcome for each.
//! for outcome in client.execute(&[Request::NewService(server), Request::NewDest(key, real)]) {
//!     match outcome {
//!         Err(error) if error.kind() == ErrorKind::AlreadyExists => println!("{error}"),
//!         outcome => outcome?,
//!     }
//! }
//! let table = client.table()?;
//! assert!(!table.torn, "another program writes at the same time: read again");
//! for status in &table.entries[&key].real_servers {
//!     println!("{}: {} connections", status.server.key, status.connections.active);
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```
//!
//! The examples `list`, `apply` and `drain` are small programs of the same kind.
//!
//! Kernels from 5.4 on have every command and attribute that is named here; older ones lack some, as
//! each says. What a later kernel may add is kept as it is (`Other`).

#[cfg(feature = "client")]
pub mod client;
pub mod codec;
mod display;
#[cfg(test)]
mod testing;
pub mod text;
mod types;
pub mod validate;

pub use types::{
    AddressFamily, Connections, Forwarding, Info, Protocol, RealServer, RealServerKey,
    RealServerStatus, Scheduler, ServiceFlags, Statistics, SyncDaemon, SyncRole, Timeouts, Tunnel,
    TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};
pub use validate::{Invalid, InvalidName};
