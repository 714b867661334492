//! Two nodes that can have the same load-balancer address, and two servers that both nodes reach.
//!
//! ```text
//!  client 192.168.91.2 ── (front) ─┬─ node1 192.168.91.11, 10.99.0.11 ─┬─ (back) ─┬─ pod1 10.99.0.101
//!                                  └─ node2 192.168.91.12, 10.99.0.12 ─┘          └─ pod2 10.99.0.102
//! ```
//!
//! [`Failover::move_to`] moves the address: the client sends its packets to that node, and the
//! servers send their answers through it. Packets keep the source address of the client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::failure::Outcome;
use crate::namespace::Namespace;
use crate::pod::Pod;
use crate::world::World;

/// The network that the module describes.
#[derive(Debug)]
pub struct Failover {
    /// `node1` and `node2`. Their interface `back` connects them with each other and the servers.
    pub nodes: [World; 2],
    /// The client.
    pub client: Namespace,
    /// The servers.
    pub pods: Vec<Pod>,
    /// Namespace of the two bridges.
    _switch: Namespace,
}

impl Failover {
    /// The load-balancer address.
    pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

    /// Builds the network. The first node has the address.
    ///
    /// # Errors
    /// If this is not root, or the kernel lacks something.
    pub fn build() -> Outcome<Self> {
        let switch = Namespace::create()?;
        switch.ip(&[
            "link add front type bridge",
            "link set front up",
            "link add back type bridge",
            "link set back up",
        ])?;
        let client = Namespace::create()?;
        attach(&switch, "front", &client, "192.168.91.2/24")?;
        let node = |name, number: u8| -> Outcome<World> {
            let node = Namespace::create()?;
            node.sysctl("ipv4/ip_forward", "1")?;
            attach(&switch, "front", &node, &format!("192.168.91.{number}/24"))?;
            attach(&switch, "back", &node, &format!("10.99.0.{number}/24"))?;
            World::around(name, node, Namespace::create()?)
        };
        let nodes = [node("node1", 11)?, node("node2", 12)?];
        let pod = |name, number: u8| -> Outcome<Pod> {
            let namespace = Arc::new(Namespace::create()?);
            let v4 = Ipv4Addr::new(10, 99, 0, number);
            let v6 = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, number.into());
            attach(&switch, "back", &namespace, &format!("{v4}/24"))?;
            namespace.ip(&[format!("address add {v6}/64 dev back nodad")])?;
            Pod::start(&namespace, name, v4, v6)
        };
        let network = Self {
            pods: vec![pod("pod1", 101)?, pod("pod2", 102)?],
            nodes,
            client,
            _switch: switch,
        };
        network.move_to(0)?;
        Ok(network)
    }

    /// Moves the address to node 0 or 1.
    ///
    /// # Errors
    /// If a route cannot be changed.
    pub fn move_to(&self, node: u8) -> Outcome {
        let number = 11 + node;
        let address = Self::ADDRESS;
        (self.client).ip(&[format!("route replace {address} via 192.168.91.{number}")])?;
        let route = [format!("route replace default via 10.99.0.{number}")];
        (self.pods.iter()).try_for_each(|pod| pod.namespace.ip(&route))
    }
}

/// Connects `place` by an interface with the name and this address to a bridge.
fn attach(switch: &Namespace, bridge: &str, place: &Namespace, address: &str) -> Outcome {
    let number = address.split(['.', '/']).nth(3).unwrap_or_default();
    switch.ip(&[
        format!(
            "link add {bridge}{number} type veth peer name {bridge} netns {}",
            place.path()
        ),
        format!("link set {bridge}{number} master {bridge} up"),
    ])?;
    place.ip(&[
        format!("address add {address} dev {bridge}"),
        format!("link set {bridge} up"),
    ])
}
