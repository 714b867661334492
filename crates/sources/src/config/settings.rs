//! Words of the daemon's settings.

use super::kind::{Words, words};
use crate::kube::Nodes;

words! {
    /// `logging.format`.
    pub enum LogFormat {
        /// Lines of text.
        Text = "text",
        /// A JSON object for each line.
        Json = "json",
    }
}

words! {
    /// `iptablesBackend`.
    pub enum IptablesBackend {
        /// The one that the node uses.
        Auto = "auto",
        /// nf_tables.
        Nft = "nft",
        /// x_tables.
        Legacy = "legacy",
    }
}

words! {
    /// `serviceMetrics`.
    pub enum ServiceMetrics {
        /// No traffic.
        Off = "off",
        /// Traffic through each Service port.
        Service = "service",
        /// The same, and traffic to each of its endpoints.
        Endpoint = "endpoint",
    }
}

impl Words for Nodes {
    const WORDS: &'static [(&'static str, Self)] = &[("all", Self::All), ("own", Self::Own)];
}
