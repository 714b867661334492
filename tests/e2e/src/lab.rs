//! The node on which the packets of a kube-proxy were recorded.
//!
//! ```text
//!  router 192.168.77.1 ── (vec0 192.168.77.10) ──┐
//!  client 198.18.0.2 ── (veth-cl 198.18.0.1) ── node ── (veth-n2 192.168.79.10) ── node2 192.168.79.11
//!         fd18::2                 fd18::1        │ \                                  │
//!                      (node1 192.168.78.10) ────┘  cni0 10.244.1.1                   cni0 10.244.2.1
//!                                                   ├ podA 10.244.1.5                 ├ podC 10.244.2.5
//!                                                   └ podB 10.244.1.6                 └ podD 10.244.2.6
//! ```
//!
//! All answers return through the node, even to packets that were not masqueraded: the source that
//! a pod sees shows if a packet was masqueraded. node2 has no proxy and sends all packets to the
//! node. Virtual addresses that are not bound are unreachable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::failure::{Failure, Outcome};
use crate::namespace::Namespace;
use crate::responder::Responder;
use crate::socket::Protocol;
use crate::world::{Family, NODE, World};

/// The network that the module describes.
#[derive(Debug)]
pub struct Lab {
    /// World with the node and the client, without pods.
    pub world: World,
    /// The second node.
    pub node2: Namespace,
    router: Namespace,
    pods: Vec<(&'static str, Namespace)>,
    _responders: Vec<Responder>,
}

/// Ports of the servers in the pods.
const PORTS: [(Protocol, u16); 3] = [
    (Protocol::Tcp, 8080),
    (Protocol::Udp, 5353),
    (Protocol::Sctp, 9998),
];

/// Pods: name, number of the node, last number of the addresses.
const PODS: [(&str, u16, u16); 4] = [
    ("podA", 1, 5),
    ("podB", 1, 6),
    ("podC", 2, 5),
    ("podD", 2, 6),
];

/// Networks of virtual addresses. Unbound addresses are unreachable.
const VIRTUAL: [&str; 4] = [
    "10.96.0.0/16",
    "203.0.113.0/24",
    "fd00:10:96::/112",
    "2001:db8:113::/64",
];

impl Lab {
    /// Builds the lab. Servers listen in the pods, as `hostpod` at the first address of the node,
    /// and as `host22` at port 22 of all addresses of the node.
    ///
    /// # Errors
    /// If this is not root, or the kernel lacks something.
    pub fn build() -> Outcome<Self> {
        let mut lab = Self::quiet()?;
        lab._responders = host_servers(&lab.world.node)?;
        for (name, number, last) in PODS {
            let addresses =
                [Family::V4, Family::V6].map(|family| pod_address(family, number, last));
            let responder = Responder::start(lab.place(name)?, name, &places(addresses))?;
            lab._responders.push(responder);
        }
        Ok(lab)
    }

    /// Builds the lab without servers.
    ///
    /// # Errors
    /// If this is not root, or the kernel lacks something.
    pub fn quiet() -> Outcome<Self> {
        let node = Namespace::create()?;
        let router = link(&node, "vec0", "192.168.77.10/24", "fd77::10/64")?;
        router.ip(&[
            "address add 192.168.77.1/24 dev eth0",
            "address add fd77::1/64 dev eth0 nodad",
        ])?;
        node.ip(&[
            "link add node1 type dummy",
            "address add 192.168.78.10/24 dev node1",
            "address add fd78::10/64 dev node1 nodad",
            "link set node1 up",
        ])?;
        let node2 = link(&node, "veth-n2", "192.168.79.10/24", "fd79::10/64")?;
        node2.ip(&[
            "address add 192.168.79.11/24 dev eth0",
            "address add fd79::11/64 dev eth0 nodad",
            "route add default via 192.168.79.10",
            "route add ::/0 via fd79::10",
        ])?;
        let client = link(&node, "veth-cl", "198.18.0.1/24", "fd18::1/64")?;
        client.ip(&[
            "address add 198.18.0.2/24 dev eth0",
            "address add fd18::2/64 dev eth0 nodad",
            "route add default via 198.18.0.1",
            "route add ::/0 via fd18::1",
        ])?;
        for (number, namespace) in [(1, &node), (2, &node2)] {
            route(namespace, number)?;
        }
        node.ip(&[
            "route add 10.244.2.0/24 via 192.168.79.11",
            "route add fd00:10:244:2::/64 via fd79::11",
        ])?;
        node.ip(&VIRTUAL.map(|network| format!("route add unreachable {network}")))?;
        let mut pods = Vec::new();
        for (name, number, last) in PODS {
            let pod = pod(if number == 1 { &node } else { &node2 }, number, last)?;
            pods.push((name, pod));
        }
        Ok(Self {
            world: World::around(NODE, node, client)?,
            node2,
            router,
            pods,
            _responders: Vec::new(),
        })
    }

    /// Returns the namespace of `podA` to `podD`, `host`, `client`, `node2` or `router`.
    ///
    /// # Errors
    /// If there is none.
    pub fn place(&self, name: &str) -> Outcome<&Namespace> {
        match name {
            "host" => Ok(&self.world.node),
            "client" => Ok(&self.world.client),
            "node2" => Ok(&self.node2),
            "router" => Ok(&self.router),
            _ => (self.pods.iter())
                .find(|(pod, _)| *pod == name)
                .map(|(_, namespace)| namespace)
                .ok_or_else(|| Failure::new(format!("no place {name}"))),
        }
    }

    /// Returns the address of a pod, of the client or of `hostpod`.
    ///
    /// # Errors
    /// If there is none.
    pub fn address(&self, name: &str, family: Family) -> Outcome<IpAddr> {
        let text = match (name, family) {
            ("hostpod", Family::V4) => "192.168.77.10",
            ("hostpod", Family::V6) => "fd77::10",
            ("client", Family::V4) => "198.18.0.2",
            ("client", Family::V6) => "fd18::2",
            _ => {
                let pod = PODS.into_iter().find(|(pod, _, _)| *pod == name);
                let (_, number, last) =
                    pod.ok_or_else(|| Failure::new(format!("no address of {name}")))?;
                return Ok(pod_address(family, number, last));
            }
        };
        text.parse()
            .map_err(|_| Failure::new(format!("{text} is not an address")))
    }
}

/// Creates a link with these addresses from the node to `eth0` of a new namespace.
fn link(node: &Namespace, name: &str, v4: &str, v6: &str) -> Outcome<Namespace> {
    let other = Namespace::create()?;
    other.unlimited_icmp()?;
    node.ip(&[
        format!(
            "link add {name} type veth peer name eth0 netns {}",
            other.path()
        ),
        format!("address add {v4} dev {name}"),
        format!("address add {v6} dev {name} nodad"),
        format!("link set {name} up"),
    ])?;
    other.ip(&["link set eth0 up"])?;
    Ok(other)
}

/// Makes the node a router with a bridge.
fn route(node: &Namespace, number: u16) -> Outcome {
    node.unlimited_icmp()?;
    node.sysctl("ipv4/ip_forward", "1")?;
    node.sysctl("ipv6/conf/all/forwarding", "1")?;
    node.ip(&[
        "link add cni0 type bridge".to_owned(),
        format!("address add 10.244.{number}.1/24 dev cni0"),
        format!("address add fd00:10:244:{number}::1/64 dev cni0 nodad"),
        "link set cni0 up".to_owned(),
    ])
}

fn pod(node: &Namespace, number: u16, last: u16) -> Outcome<Namespace> {
    let pod = Namespace::create()?;
    let port = format!("veth{last}");
    node.ip(&[
        format!(
            "link add {port} type veth peer name eth0 netns {}",
            pod.path()
        ),
        format!("link set {port} master cni0 up"),
        format!("link set {port} type bridge_slave hairpin on"),
    ])?;
    let [v4, v6] = [Family::V4, Family::V6].map(|family| pod_address(family, number, last));
    pod.ip(&[
        format!("address add {v4}/24 dev eth0"),
        format!("address add {v6}/64 dev eth0 nodad"),
        "link set eth0 up".to_owned(),
        format!("route add default via 10.244.{number}.1"),
        format!("route add ::/0 via fd00:10:244:{number}::1"),
    ])?;
    Ok(pod)
}

fn pod_address(family: Family, node: u16, last: u16) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 244, node as u8, last as u8).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x10, 0x244, node, 0, 0, 0, last).into(),
    }
}

fn places(addresses: [IpAddr; 2]) -> Vec<(Protocol, SocketAddr)> {
    let all = addresses.into_iter().flat_map(|address| {
        PORTS.map(|(protocol, port)| (protocol, SocketAddr::new(address, port)))
    });
    all.collect()
}

fn host_servers(node: &Namespace) -> Outcome<Vec<Responder>> {
    let first = [
        Ipv4Addr::new(192, 168, 77, 10).into(),
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x10).into(),
    ];
    let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let ssh = all.map(|address| (Protocol::Tcp, SocketAddr::new(address, 22)));
    Ok(vec![
        Responder::start(node, "hostpod", &places(first))?,
        Responder::start(node, "host22", &ssh)?,
    ])
}
