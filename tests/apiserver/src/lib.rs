//! A Kubernetes API server in memory, for tests and the demo.
//!
//! It serves HTTP/1.1 for the kinds that a service proxy reads (Service, EndpointSlice, Endpoints,
//! Node) and writes (Event): versioned lists, watches with bookmarks, streaming lists, compaction.
//! [`Faults`], or HTTP requests to `/faults`, turn faults on.
//!
//! Objects are stored unchanged, status included: without defaults, allocations and validation. A
//! test writes objects as a real server would hold them. Patches are merges (RFC 7386). Only the
//! daemon's selectors are supported.
//!
//! [`TestServer`] is for tests that compare with a real server: it starts real binaries if
//! `KUBEBUILDER_ASSETS` names their folder.

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
