//! Two nodes and two clients on one segment, with a pod on the first node.
//!
//! ```text
//!  client 192.168.90.2 ─┐                ┌─ node1 192.168.90.11 ── pod1 10.244.0.10
//!                       ├─ (a switch) ───┤
//!  client 192.168.90.3 ─┘                └─ node2 192.168.90.12
//! ```

use crate::failure::{Failure, Outcome};
use crate::namespace::Namespace;
use crate::world::{World, pod, routes};

/// The network that the module describes. The client of each world is on the segment too.
#[derive(Debug)]
pub struct Lan {
    /// `node1` and `node2`.
    pub nodes: [World; 2],
    /// Namespace of the bridge.
    _switch: Namespace,
}

impl Lan {
    /// Builds the segment.
    ///
    /// # Errors
    /// If this is not root, or the kernel lacks something.
    pub fn build() -> Outcome<Self> {
        let switch = Namespace::create()?;
        switch.ip(&["link add lan type bridge", "link set lan up"])?;
        let on = |number| attach(&switch, number);
        let (first, second) = (on(11)?, on(12)?);
        let (one, two) = (on(2)?, on(3)?);
        for (subnet, node) in [(0, &first), (1, &second)] {
            routes(node, subnet)?;
        }
        // All routes to the pod lead over the first node.
        for place in [&second, &one, &two] {
            place.ip(&["route add 10.244.0.0/24 via 192.168.90.11"])?;
        }
        let mut first = World::around("node1", first, one)?;
        first.pods.push(pod(&first.node, 0, 10, "pod1")?);
        let second = World::around("node2", second, two)?;
        Ok(Self {
            nodes: [first, second],
            _switch: switch,
        })
    }

    /// Returns the hardware address of a node on the segment.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn hardware_address(node: &World) -> Outcome<String> {
        let link = node.tool("ip -oneline link show dev eth0")?;
        let mut words = link.split_ascii_whitespace();
        words
            .find(|word| *word == "link/ether")
            .and_then(|_| words.next())
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("no hardware address in {link}")))
    }
}

/// Creates a namespace with `eth0` on the segment, address 192.168.90.NUMBER.
fn attach(switch: &Namespace, number: u8) -> Outcome<Namespace> {
    let place = Namespace::create()?;
    switch.ip(&[
        format!(
            "link add port{number} type veth peer name eth0 netns {}",
            place.path()
        ),
        format!("link set port{number} master lan up"),
    ])?;
    place.ip(&[
        format!("address add 192.168.90.{number}/24 dev eth0"),
        "link set eth0 up".to_owned(),
    ])?;
    Ok(place)
}
