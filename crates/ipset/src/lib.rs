//! ipset, the Linux kernel's sets for packet filters: types, text, codec and client.
//!
//! - **Words**: a [`Set`] has a [`SetName`], a [`Header`] and entries.
//! - **Text**: [`text`] prints and parses the lines of `ipset save`.
//! - **Bytes**: [`codec`] has the messages of ipset's netlink protocol, 6 and 7.
//! - **The running kernel**: with the feature `client`, [`client::Client`] lists, creates, fills, swaps
//!   and destroys sets. No `ipset` program is needed.
//!
//! Nothing but the client does any input or output.
//!
//! # A tour
//!
//! ```
//! use ipset::{Entry, Family, HashType, Header, Protocol, SetName};
//!
//! let name = SetName::new("web")?;
//! let header = Header::Hash {
//!     hash_type: HashType::IpPort,
//!     family: Family::Inet,
//!     max_elements: 65_536,
//! };
//! let entry = Entry::IpPort("10.96.0.1".parse()?, Protocol::TCP, 80);
//! assert_eq!(header.fit(entry)?, entry);
//! assert_eq!(format!("{name} {header}"), "web hash:ip,port family inet maxelem 65536");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the kernel, which takes `CAP_NET_ADMIN`:
//!
//! ```no_run
//! # #[cfg(feature = "client")] {
//! use ipset::client::{Client, Request};
//! # use ipset::{Entry, Header, SetName};
//! let mut client = Client::open()?;
//! let ports = SetName::new("ports")?;
//! let requests = [
//!     Request::Create(ports.clone(), Header::BitmapPort { first: 0, last: 65_535 }),
//!     Request::Add(ports.clone(), Entry::Port(80)),
//! ];
//! for outcome in client.execute(&requests) {
//!     outcome?;
//! }
//! assert!(client.test(&ports, Entry::Port(80))?);
//! for (name, set) in client.list()? {
//!     println!("{name}: {} entries", set.entries.len());
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Types known are those of [`Header`]. A set of another type, or with options (timeouts, counters,
//! comments, netmasks), is listed as [`Header::Unsupported`], without its entries.

#[cfg(feature = "client")]
pub mod client;
pub mod codec;
pub mod text;
mod types;

pub use types::{
    Dimension, Entry, Family, HashType, Header, NAME_MAX, NameError, Protocol, Set, SetName,
    UnfitError,
};
