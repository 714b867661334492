//! Inputs of kube-ipvs: the cluster from files or from a Kubernetes API server, and the
//! configuration. The crate returns types of [`model`]; [`convert`] is the last module that sees
//! Kubernetes' own types.
//!
//! | module | contents |
//! |---|---|
//! | [`source`] | one interface to both sources |
//! | [`event`] | events of a source |
//! | [`sink`], [`backlog`], [`status`] | delivery of events, unapplied events, state of each source |
//! | `list_guard` | guard against lists that would delete most objects at once |
//! | [`files`], [`watch_files`] | manifests, read once or watched |
//! | [`kube`] | an API server |
//! | [`objects`], [`convert`], [`filter`] | decoding of objects, conversion to the model, selectors |
//! | [`pods`] | addresses of pods by name, on request |
//! | [`virtual_server`] | our own kind of object |
//! | [`config`], [`node_state`] | kube-proxy's configuration and ours; a node described in a file |
//! | [`proxy`] | detection of another service proxy on the node |
//! | [`environment`] | variables and files of this process or another one |

pub mod backlog;
pub mod config;
pub mod convert;
pub mod environment;
pub mod event;
pub mod files;
pub mod filter;
pub mod kube;
mod list_guard;
pub mod node_state;
pub mod objects;
pub mod pods;
pub mod proxy;
pub mod sink;
pub mod source;
pub mod status;
pub mod virtual_server;
pub mod watch_files;
mod yaml;

pub use backlog::Backlog;
pub use config::{ConfigErrors, ConfigFlags, NodeOverrides};
pub use environment::Environment;
pub use event::{ProblemKind, SourceEvent, SourceProblem};
pub use files::{FileError, FileObjects};
pub use list_guard::Confirmation;
pub use pods::PodAddresses;
pub use sink::{EventSink, Progress, ReceiverGone};
pub use source::{SourceConfig, run};
pub use status::{SourceError, SourceState, SourceStatus, SourceStatuses};
