//! End-to-end tests and the demo: packets through a real kernel in a VM.
//!
//! | type | contents |
//! |---|---|
//! | [`World`] | a node, its pods and an external client, each in a network namespace |
//! | [`Neighbour`] | a second node beside it |
//! | [`Lab`] | the node on which packets of a kube-proxy were recorded |
//! | [`Lan`] | two nodes on one segment |
//! | [`Pod`], [`Responder`] | servers that answer with their name over TCP, UDP and SCTP |
//! | [`Probe`] | a client that sends requests and counts the answers of each pod |
//! | [`Conversation`], [`LongLived`] | a connection that stays open, idle or busy |
//! | [`Volley`] | thousands of requests from one thread |
//! | [`Load`], [`Flow`] | clients that send requests until they are stopped |
//!
//! The programs under test are processes in the namespace of the node: [`World::daemon`],
//! [`World::ipvsctl`], [`ApiServer`].
//!
//! All of this needs root and a kernel with IPVS: `cargo xtask vm`.

mod api;
mod backend;
mod connection;
mod container;
mod conversation;
pub mod demo;
mod failover;
mod failure;
mod flow;
mod http;
mod knock;
mod lab;
mod lan;
mod load;
mod namespace;
mod neighbour;
pub mod objects;
mod pod;
mod probe;
mod process;
mod programs;
mod render;
mod responder;
mod shard;
mod socket;
mod speed;
mod tables;
mod volley;
mod wait;
mod wire;
mod world;

pub use api::{ApiServer, Path};
pub use backend::{Backend, LINK};
pub use connection::{Kept, LongLived};
pub use container::image;
pub use conversation::Conversation;
pub use failover::Failover;
pub use failure::{Context, Failure, Outcome, ensure};
pub use flow::Flow;
pub use http::{get, get_text};
pub use knock::{Knock, knock};
pub use lab::Lab;
pub use lan::Lan;
pub use load::{Load, Sum};
pub use namespace::Namespace;
pub use neighbour::Neighbour;
pub use pod::{PORT, Pod};
pub use probe::{Answer, Probe, Tally, ask_and_reset};
pub use process::{Process, Ran, forget_logs, logs};
pub use programs::{missing, program};
pub use render::Rendered;
pub use responder::{Places, Responder};
pub use shard::of_shard;
pub use socket::Protocol;
pub use speed::{measure, scaled, slowest};
pub use tables::Tables;
pub use volley::{Ask, Over, Reply, Volley};
pub use wait::{eventually, within};
pub use world::{Arguments, Family, World};
