//! IPVS, the Linux kernel's layer-4 load balancer: its types, `ipvsadm-save` text, and its
//! generic-netlink protocol.
//!
//! - **Types**: [`VirtualServer`] and [`RealServer`] are the configuration; [`RealServerStatus`],
//!   [`Statistics`] and [`Connections`] are the state. [`VirtualServerKey`] and [`RealServerKey`]
//!   identify an entry.
//! - **Text**: [`text`] prints and parses the lines of `ipvsadm-save -n`.
//! - **Connections**: [`connection`] parses the lines of `/proc/net/ip_vs_conn`.
//! - **Checks**: [`validate`] finds settings that the kernel accepts silently but does not apply.
//! - **Codec**: [`codec`] has every command and attribute of the family `IPVS`, on the
//!   netlink-packet crates, for use with any transport.
//! - **Client**: with the feature `client`, the module `client` sends requests to the running
//!   kernel: many changes in one send with an outcome for each, and readings that detect changes by
//!   other programs.
//!
//! Only `client` does input and output.
//!
//! # Usage
//!
//! Parse and check lines of `ipvsadm-save`:
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
//! Send the same configuration to the kernel and read it back (feature `client`; needs
//! `CAP_NET_ADMIN`):
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
//! // Two changes in one send, with an outcome for each.
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
//! The examples `list`, `apply` and `drain` are small programs of this kind.
//!
//! Kernels since 5.4 support every command and attribute of this crate. For those that older
//! kernels lack, the documentation names the first version. Unknown commands and attributes of
//! later kernels are kept unchanged (`Other`).

#[cfg(feature = "client")]
pub mod client;
pub mod codec;
pub mod connection;
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
