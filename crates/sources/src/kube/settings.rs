//! Settings of requests to an API server.

use std::time::Duration;

use model::{BackoffSettings, Name};
use serde::{Deserialize, Serialize};

use crate::objects::LabelKeys;

/// Settings of requests to an API server. Every duration must be above zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeSettings {
    /// Name of this node's Node object.
    pub node_name: Name,
    /// Nodes to watch.
    pub nodes: Nodes,
    /// Labels of Services that policies read.
    pub labels: LabelKeys,
    /// True to request lists as streams if the server supports it.
    pub streaming_lists: bool,
    /// Number of objects in a page of a list that is not streamed.
    pub page_size: u32,
    /// Waits after failures.
    pub backoff: BackoffSettings,
    /// Waits before a relist after the server has forgotten a version. They are longer, since all
    /// nodes relist at the same time and lists are large. They grow while lists follow each other
    /// within two minutes.
    pub relist: BackoffSettings,
    /// Time limit of an answer: a page of a list, or the start of a watch.
    pub request_timeout: Duration,
    /// Time after which a silent watch counts as dead. API servers send a bookmark every minute.
    pub silence: Duration,
    /// Time after which a silent streamed list counts as not supported.
    pub list_silence: Duration,
    /// Maximum duration of a watch in whole seconds. The requested duration is random, between
    /// three quarters of it and all of it, so that nodes that started together spread out.
    pub watch_timeout: Duration,
    /// Maximum duration of a watch that begins with a list. The server counts from the start of the
    /// list and cuts an unfinished one, and lists take long when all nodes list at once.
    pub list_timeout: Duration,
    /// Interval at which a lasting problem is reported again.
    pub repeat_trouble: Duration,
}

/// Nodes to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// Only this node's. The addresses of other nodes are then unknown and not protected.
    Own,
    /// All Nodes.
    #[default]
    All,
}

impl KubeSettings {
    /// Returns the default settings for the node `node_name`.
    #[must_use]
    pub fn new(node_name: impl Into<Name>) -> Self {
        Self {
            node_name: node_name.into(),
            nodes: Nodes::All,
            labels: LabelKeys::default(),
            streaming_lists: true,
            page_size: 500,
            backoff: BackoffSettings {
                base: Duration::from_millis(250),
                max: Duration::from_secs(30),
            },
            // 0.8 s to 1.6 s at first, as client-go's reflector.
            relist: BackoffSettings {
                base: Duration::from_millis(1600),
                max: Duration::from_secs(60),
            },
            request_timeout: Duration::from_secs(60),
            silence: Duration::from_secs(90),
            list_silence: Duration::from_secs(20),
            watch_timeout: Duration::from_secs(290),
            list_timeout: Duration::from_secs(3600),
            repeat_trouble: Duration::from_secs(60),
        }
    }
}
