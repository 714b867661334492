//! Inputs of kube-ipvs: the cluster from files or from a Kubernetes API server, and the configuration. All of it leaves here as
//! words of [`model`]; Kubernetes' own types end in [`convert`].
//!
//! | module | what |
//! |---|---|
//! | [`source`] | one way to run either source |
//! | [`event`] | what a source says |
//! | [`sink`], [`backlog`], [`status`] | delivery of events, those that wait, and the state of each source |
//! | `list_guard` | lists that would delete most objects at once |
//! | [`files`], [`watch_files`] | manifests, once or for as long as they change |
//! | [`kube`] | an API server |
//! | [`objects`], [`convert`], [`filter`] | an object as it is read, its meaning, and which ones count |
//! | [`config`], [`node_state`] | kube-proxy's configuration and ours; a node described in a file |

pub mod backlog;
pub mod config;
pub mod convert;
pub mod event;
pub mod files;
pub mod filter;
pub mod kube;
mod list_guard;
pub mod node_state;
pub mod objects;
pub mod proxy;
pub mod sink;
pub mod source;
pub mod status;
pub mod watch_files;
mod yaml;

pub use backlog::Backlog;
pub use config::{ConfigErrors, ConfigFlags, NodeOverrides};
pub use event::{ProblemKind, SourceEvent, SourceProblem};
pub use files::{FileError, FileObjects};
pub use list_guard::Confirmation;
pub use sink::{EventSink, Progress, ReceiverGone};
pub use source::{SourceConfig, run};
pub use status::{SourceError, SourceState, SourceStatus, SourceStatuses};
