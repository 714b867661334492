//! ipset, the Linux kernel's sets for packet filters: types, text, codec and client.
//!
//! - **Types**: a [`Set`] has a [`SetName`], a [`Header`] and entries.
//! - **Text**: [`text`] prints and parses the lines of `ipset save`.
//! - **Codec**: [`codec`] has the messages of ipset's netlink protocol, versions 6 and 7.
//! - **Client**: with the feature `client`, `client::Client` lists, creates, fills, swaps and
//!   destroys the kernel's sets. It does not need the program `ipset`.
//!
//! Only the client does input and output.
//!
//! # Usage
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
//! With the running kernel, which needs `CAP_NET_ADMIN`:
//!
//! ```no_run
//! # #[cfg(feature = "client")] {
//! use ipset::client::{Client, Request};
//! # use ipset::{Entry, Header, SetName};
//! let mut client = Client::open()?;
//!
//! // Any number of changes, with an outcome for each. Entries of a set share messages.
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
//! // Read the headers of all sets, or one set with its entries.
//! for (name, header) in client.headers()? {
//!     println!("{name} {header}");
//! }
//! let mut set = client.set(&ports)?.ok_or("the set does not exist")?;
//!
//! // Change the size of a set. Rules that use it match all old entries, then all new ones.
//! set.header = Header::BitmapPort { first: 0, last: 65_535 };
//! requests = vec![Request::Replace(ports, set)];
//! assert!(client.execute(&requests).iter().all(Result::is_ok));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! The supported types are those of [`Header`]. A set of another type, or with unsupported options
//! (timeouts, counters, comments, netmasks) or entries (`nomatch`), is listed as
//! [`Header::Unsupported`], without its entries. Such a set can be destroyed and replaced.
//!
//! Settings that the kernel chooses are not shown: `hashsize`, `bucketsize`, `initval`, references
//! and memory. A hash is created with a size that suits the entries that the same requests add.

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
