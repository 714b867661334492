//! What a command works on: the cluster, the node, the live tables.
//!
//! What is wrong with a part of the input is told on standard error at once; the rest is used.

pub mod cluster;
pub mod live;
pub mod node;

use model::{ClusterState, Desired, NodeConfig};

use crate::output::style;

/// A cluster and what it asks of a node.
#[derive(Debug)]
pub struct Input {
    /// The node's configuration.
    pub config: NodeConfig,
    /// What the cluster asks for.
    pub desired: Desired,
    /// What is odd about the objects, ordered.
    pub findings: Vec<model::Finding>,
    /// Whether all of the input was read. Otherwise the absence of an object means nothing.
    pub whole: bool,
}

impl Input {
    /// Compiles the tables and tells the findings.
    #[must_use]
    pub fn compile(cluster: &ClusterState, whole: bool, config: NodeConfig) -> Self {
        let (desired, findings) = planner::compile(cluster, &config);
        findings.iter().for_each(style::finding);
        Self {
            config,
            desired,
            findings,
            whole,
        }
    }
}
