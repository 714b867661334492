//! A Kubernetes API server in memory, for tests and the demo.
//!
//! It speaks HTTP/1.1 for the kinds that a service proxy reads (Service, EndpointSlice, Endpoints, Node)
//! and writes (Event), and for Namespaces: versioned lists, watches with bookmarks, streaming lists,
//! compaction, all kinds of writes, with the defaults, allocations and refusals of the real server.
//! Faults are turned on by [`Faults`] or over HTTP under `/faults`.
//!
//! [`TestServer`] is what tests start: it takes real binaries where `KUBEBUILDER_ASSETS` names some.
//!
//! Not here: protobuf bodies, discovery, tables, OpenAPI documents, patches but merges (RFC 7386), anything about other kinds.
//! `kubectl` needs some of these.

mod admission;
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
pub use load::{LoadError, read_manifests};
pub use object::{Key, Object};
pub use real::RealServer;
pub use resource::{APIS, Api, Resource};
pub use server::{Recorded, Server, State};
pub use status::ApiError;
pub use test_server::{ASSETS, RequestError, TestServer, Unavailable};
