//! A second node.
//!
//! ```text
//!  client ── 192.168.50.1 ── node ── 192.168.79.10
//!    │                                     │
//!    └──── 192.168.60.1 ──────────── neighbour ── 10.244.1.1 (bridge cni0) ── pods 10.244.1.10…
//! ```
//!
//! Packets of its pods to the client use its own link, as in a real cluster: an answer to a packet
//! that the node forwarded without masquerading does not return through the node. All other packets
//! go through the node.

use std::net::IpAddr;

use crate::failure::Outcome;
use crate::namespace::Namespace;
use crate::pod::Pod;
use crate::world::{World, pod, routes};

/// The node that the module describes.
#[derive(Debug)]
pub struct Neighbour {
    /// Namespace of the node.
    pub node: Namespace,
    /// Pods of the node.
    pub pods: Vec<Pod>,
}

impl Neighbour {
    /// Creates the node beside the world's node, with pods of these names.
    ///
    /// # Errors
    /// If there is one already.
    pub fn beside(world: &World, names: &[&str]) -> Outcome<Self> {
        let node = Namespace::create()?;
        routes(&node, 1)?;
        link_to_node(world, &node)?;
        link_to_client(world, &node)?;
        let pods = (10..)
            .zip(names)
            .map(|(number, name)| pod(&node, 1, number, name))
            .collect::<Outcome<_>>()?;
        Ok(Self { node, pods })
    }

    /// Binds addresses of Services, as a node with a proxy does. Packets of its pods to these
    /// addresses do not leave it.
    ///
    /// # Errors
    /// If it has one already.
    pub fn hold(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Outcome {
        let mut lines = vec!["link add kube-ipvs0 type dummy".to_owned()];
        lines.extend(
            addresses
                .into_iter()
                .map(|address| format!("address add {address} dev kube-ipvs0")),
        );
        self.node.ip(&lines)
    }
}

fn link_to_node(world: &World, node: &Namespace) -> Outcome {
    world.node.ip(&[
        &format!(
            "link add beside type veth peer name beside netns {}",
            node.path()
        ),
        "address add 192.168.79.10/24 dev beside",
        "address add fd00:79::10/64 dev beside nodad",
        "link set beside up",
    ])?;
    node.ip(&[
        "address add 192.168.79.11/24 dev beside",
        "address add fd00:79::11/64 dev beside nodad",
        "link set beside up",
        "route add default via 192.168.79.10",
        "route add ::/0 via fd00:79::10",
    ])?;
    world.node.ip(&[
        "route add 10.244.1.0/24 via 192.168.79.11",
        "route add fd00:10:244:1::/64 via fd00:79::11",
    ])
}

fn link_to_client(world: &World, node: &Namespace) -> Outcome {
    world.client.ip(&[
        &format!(
            "link add beside type veth peer name outside netns {}",
            node.path()
        ),
        "address add 192.168.60.2/24 dev beside",
        "address add fd00:60::2/64 dev beside nodad",
        "link set beside up",
    ])?;
    node.ip(&[
        "address add 192.168.60.1/24 dev outside",
        "address add fd00:60::1/64 dev outside nodad",
        "link set outside up",
        "route add 192.168.50.0/24 via 192.168.60.2",
        "route add fd00:50::/64 via fd00:60::2",
        // Except for the node's own address in this network.
        "route add 192.168.50.1 via 192.168.79.10",
        "route add fd00:50::1 via fd00:79::10",
    ])
}
