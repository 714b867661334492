//! Settings of requests to an API server.

use std::time::Duration;

use model::{BackoffSettings, Name};
use serde::{Deserialize, Serialize};

/// Settings of requests to an API server. Every duration must be above zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeSettings {
    /// The name of our own Node.
    pub node_name: Name,
    /// The Nodes to watch.
    pub nodes: Nodes,
    /// True to ask for lists as streams where the server can do that.
    pub streaming_lists: bool,
    /// Number of objects to ask for at once in a list that is not streamed.
    pub page_size: u32,
    /// Times to wait after failures.
    pub backoff: BackoffSettings,
    /// Times to wait before listing anew what a server has forgotten. All nodes learn of that at the same time and a list is
    /// large, so these waits are longer, and grow while lists follow each other within two minutes.
    pub relist: BackoffSettings,
    /// Time limit of an answer: a page of a list, or the start of a watch.
    pub request_timeout: Duration,
    /// Time for which a watch may be silent before it is taken as dead. API servers send a bookmark every minute.
    pub silence: Duration,
    /// Time for which a streamed list may be silent before it is taken as not served.
    pub list_silence: Duration,
    /// Maximum duration of a watch; it is asked for a quarter less to the full time, so that nodes that started together do not
    /// stay together. Whole seconds.
    pub watch_timeout: Duration,
    /// The same for a watch that begins with a list: the server counts from the list's start and cuts one
    /// that is not through by then, and when all nodes list at once it takes long.
    pub list_timeout: Duration,
    /// Interval at which a trouble that lasts is reported again.
    pub repeat_trouble: Duration,
}

/// The Nodes to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// Our own, by name: the addresses of other nodes are not known then, and not protected.
    Own,
    /// All of them.
    #[default]
    All,
}

impl KubeSettings {
    /// The settings for the node `node_name`.
    #[must_use]
    pub fn new(node_name: impl Into<Name>) -> Self {
        Self {
            node_name: node_name.into(),
            nodes: Nodes::All,
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
