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
//!
//! // Changes: as many as there are, an outcome for each. Entries of a set travel many in a message.
//! let ports = SetName::new("ports")?;
//! let mut requests = vec![
//!     Request::Create(ports.clone(), Header::BitmapPort { first: 0, last: 1_023 }),
//!     Request::Add(ports.clone(), Entry::Port(80)),
//!     Request::Add(ports.clone(), Entry::Port(8_080)),
//! ];
//! for outcome in client.execute(&requests) {
//!     if let Err(error) = outcome {
//!         // "failed to add 8080 to set ports: the port is outside the range of the set (error 4352)"
//!         println!("{error}: {}", std::error::Error::source(&error).ok_or("no cause")?);
//!     }
//! }
//! assert!(client.test(&ports, Entry::Port(80))?);
//!
//! // Everything, or what is asked for.
//! for (name, header) in client.headers()? {
//!     println!("{name} {header}");
//! }
//! let mut set = client.set(&ports)?.ok_or("it was destroyed")?;
//!
//! // Another size, while rules look into it: all of the old, then all of the new.
//! set.header = Header::BitmapPort { first: 0, last: 65_535 };
//! requests = vec![Request::Replace(ports, set)];
//! assert!(client.execute(&requests).iter().all(Result::is_ok));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Types known are those of [`Header`]. A set of another type, or with options (timeouts, counters,
//! comments, netmasks) or entries (`nomatch`) that are not spoken here, is listed as
//! [`Header::Unsupported`], without its entries; it can be destroyed and replaced.
//!
//! Settings that the kernel chooses by itself are not shown: `hashsize`, `bucketsize`, `initval`, references and
//! memory. A hash is created as large as is good for what the same requests put into it.

#[cfg(feature = "client")]
pub mod client;
pub mod codec;
#[cfg(test)]
mod testing;
pub mod text;
mod types;

pub use types::{
    Dimension, Entry, Family, HashType, Header, NAME_MAX, NameError, Protocol, Set, SetName,
    UnfitError,
};
