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
pub mod text;
pub mod view;

use std::collections::BTreeSet;
use std::time::Instant;

use ipvs::VirtualServerKey;
use model::{ClusterState, Desired, NodeConfig, NodeState, NodeTables, ObjectName, Plan, Snapshot};
use planner::{Claims, Ownership, ServiceExplanation};
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
    /// Claims of the Services, which name the owners of shared entries and explain each Service.
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
        let (config, endpoints) = (node.config.node, node.endpoints);
        let of_status = || cluster.node(&config.node_name).map(NodeState::of_status);
        let node = node.state.or_else(of_status).unwrap_or_default();
        let start = Instant::now();
        let (desired, findings, claims) =
            planner::compile_with_claims(&cluster, &node, &config, endpoints);
        tracing::debug!("compiled the objects in {:?}", start.elapsed());
        let services = cluster.service_names().count();
        tracing::info!(
            "node {}: {services} Services, {} findings; desired tables: {}",
            config.node_name,
            findings.len(),
            sizes(&desired.tables)
        );
        Self {
            config,
            node,
            desired,
            claims,
            findings,
            services,
            whole,
            pods,
            cluster,
        }
    }

    /// Returns the changes that turn `live` into the desired tables. Every command that compares
    /// them does it here (ADR 26). `ours` are virtual servers that are ours whatever their address.
    /// Nothing is deleted if a part of the input could not be read.
    #[must_use]
    pub fn plan(&self, live: &Snapshot, ours: BTreeSet<VirtualServerKey>) -> Plan {
        let own = Ownership {
            recorded: ours,
            deletions: self.whole,
            ..Ownership::new(&self.config)
        };
        tracing::info!("live tables: {}", sizes(&live.tables));
        let start = Instant::now();
        let plan = planner::diff(&self.desired, live, &own);
        tracing::debug!("compared the tables in {:?}", start.elapsed());
        plan
    }

    /// Explains how the Service `name` is served; `None` if there is none.
    #[must_use]
    pub fn explain(&self, name: &ObjectName) -> Option<ServiceExplanation> {
        self.claims.explain(&self.cluster, &self.desired, name)
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

/// Returns the sizes of `tables` for a log line.
fn sizes(tables: &NodeTables) -> String {
    let real_servers = tables.virtual_servers.values();
    let real_servers: usize = real_servers.map(|entry| entry.real_servers.len()).sum();
    let entries: usize = tables.sets.values().map(|set| set.entries.len()).sum();
    format!(
        "{} virtual servers, {real_servers} real servers, {} addresses, {entries} set entries",
        tables.virtual_servers.len(),
        tables.addresses.len()
    )
}
