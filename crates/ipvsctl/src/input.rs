//! Inputs of a command: the cluster, the node, the live tables.
//!
//! An error in a part of the input is reported on standard error, and the rest is used.

pub mod cluster;
pub mod counters;
pub mod daemon;
pub mod desired;
pub mod facts;
pub mod live;
pub mod node;
pub mod owners;
pub mod pods;
pub mod running;
pub mod surroundings;
pub mod view;

use model::{ClusterState, Desired, NodeConfig, NodeState};
use planner::Claims;
use sources::PodAddresses;

use self::cluster::Cluster;
use self::node::Node;
use crate::error::Status;
use crate::style;

/// Input of a command: a cluster and its desired tables for a node.
#[derive(Debug)]
pub struct Input {
    /// Objects of the cluster.
    pub cluster: ClusterState,
    /// Configuration of the node.
    pub config: NodeConfig,
    /// Interfaces and machine of the node, as far as they are known.
    pub node: NodeState,
    /// Desired tables of the node.
    pub desired: Desired,
    /// Claims of the Services, which name the owners of shared entries.
    pub claims: Claims,
    /// Findings about the objects, ordered.
    pub findings: Vec<model::Finding>,
    /// Number of Services in the cluster.
    pub services: usize,
    /// True if all of the input was read. Otherwise a missing object may exist, and nothing is
    /// deleted.
    pub whole: bool,
    /// Addresses of pods, if they were asked for.
    pub pods: PodAddresses,
}

impl Input {
    /// Compiles the desired tables.
    #[must_use]
    pub fn compile(cluster: Cluster, node: Node) -> Self {
        let Cluster {
            state: cluster,
            whole,
            pods,
        } = cluster;
        let config = node.config.node;
        let of_status = || cluster.node(&config.node_name).map(NodeState::of_status);
        let node = node.state.or_else(of_status).unwrap_or_default();
        let (desired, findings, claims) = planner::compile_with_claims(&cluster, &node, &config);
        Self {
            config,
            node,
            desired,
            claims,
            findings,
            services: cluster.service_names().count(),
            whole,
            pods,
            cluster,
        }
    }

    /// Returns the status of a command that found something or not. A part of the input that could
    /// not be read is a failure.
    #[must_use]
    pub fn status(&self, found: bool) -> Status {
        match (self.whole, found) {
            (false, _) => Status::Failed,
            (true, true) => Status::Found,
            (true, false) => Status::Done,
        }
    }

    /// Prints the findings on standard error.
    #[must_use]
    pub fn report(self) -> Self {
        self.findings.iter().for_each(style::finding);
        self
    }
}
