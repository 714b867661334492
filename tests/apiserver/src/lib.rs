//! A Kubernetes API server in memory, for tests and the demo.
//!
//! It speaks HTTP/1.1 for the kinds that a service proxy reads (Service, EndpointSlice, Endpoints, Node)
//! and writes (Event): versioned lists, watches with bookmarks, streaming lists, compaction. Faults are turned on by
//! [`Faults`] or over HTTP under `/faults`.
//!
//! Objects are stored as they are written, status included: nothing is defaulted, allocated or refused. A test writes what a
//! real server would hold. Patches are merges (RFC 7386); selectors are those of the daemon.
//!
//! [`TestServer`] is what a test starts that is to agree with a real server: it takes real binaries where
//! `KUBEBUILDER_ASSETS` names some.

mod cluster;
mod config;
mod faults;
mod http;
mod kubeconfig;
mod load;
mod object;
mod real;
mod resource;
mod selectors;
mod server;
mod status;
mod store;
mod test_server;
mod tls;

pub use config::ServerConfig;
pub use faults::{FailNext, FaultState, Faults, Forbid};
pub use kubeconfig::Kubeconfig;
pub use load::LoadError;
pub use object::{Key, Object};
pub use real::RealServer;
pub use resource::Resource;
pub use server::{Recorded, Server, State};
pub use status::ApiError;
pub use test_server::{ASSETS, TestServer};
