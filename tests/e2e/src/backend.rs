//! A host that is no node, with servers at virtual addresses. It answers clients over a link of its
//! own.
//!
//! ```text
//!  client 192.168.70.2 ────────────── 192.168.70.1 ┐
//!    │    fd00:70::2                  fd00:70::1   │
//!    │                                           backend, virtual addresses on lo
//!    │                                             │
//!   node  192.168.60.1 ────────────── 192.168.60.2 ┘
//!         fd00:60::1                  fd00:60::2
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::failure::Outcome;
use crate::namespace::Namespace;
use crate::pod::Pod;
use crate::process::run;
use crate::world::{Family, World};

/// Name of the interfaces of the node and the client towards the backend.
pub const LINK: &str = "far";

/// The host that the module describes.
#[derive(Debug)]
pub struct Backend {
    namespace: Arc<Namespace>,
    _servers: Vec<Pod>,
}

impl Backend {
    /// Links the host to the node and the client of `world`, and starts servers with the name `far`
    /// at its own addresses and at these virtual ones.
    ///
    /// # Errors
    /// If the kernel lacks something.
    pub fn beside(world: &World, addresses: &[(Ipv4Addr, Ipv6Addr)]) -> Outcome<Self> {
        let namespace = Arc::new(Namespace::create()?);
        for (place, number, name) in [(&*world.node, 60, "node"), (&world.client, 70, "client")] {
            // The node has the first address of its link, the client the second one of its link.
            let (there, here) = if number == 60 { (1, 2) } else { (2, 1) };
            place.ip(&[
                format!(
                    "link add {LINK} type veth peer name {name} netns {}",
                    namespace.path()
                ),
                format!("address add 192.168.{number}.{there}/24 dev {LINK}"),
                format!("address add fd00:{number}::{there}/64 dev {LINK} nodad"),
                format!("link set {LINK} up"),
            ])?;
            namespace.ip(&[
                format!("address add 192.168.{number}.{here}/24 dev {name}"),
                format!("address add fd00:{number}::{here}/64 dev {name} nodad"),
                format!("link set {name} up"),
            ])?;
        }
        namespace.ip(&[
            "route add 192.168.50.0/24 via 192.168.70.2",
            "route add fd00:50::/64 via fd00:70::2",
            "route add 10.244.0.0/16 via 192.168.60.1",
            "route add fd00:10:244::/56 via fd00:60::1",
        ])?;
        namespace.sysctl("ipv4/conf/all/arp_ignore", "1")?;
        namespace.sysctl("ipv4/conf/all/arp_announce", "2")?;
        let mut lines = Vec::new();
        for (v4, v6) in addresses {
            lines.push(format!("address add {v4}/32 dev lo"));
            lines.push(format!("address add {v6}/128 dev lo nodad"));
        }
        namespace.ip(&lines)?;
        let own = (
            Ipv4Addr::new(192, 168, 60, 2),
            Ipv6Addr::new(0xfd00, 0x60, 0, 0, 0, 0, 0, 2),
        );
        let places = std::iter::once(&own).chain(addresses);
        let servers = places
            .map(|(v4, v6)| Pod::start(&namespace, "far", *v4, *v6))
            .collect::<Outcome<_>>()?;
        Ok(Self {
            namespace,
            _servers: servers,
        })
    }

    /// Returns the address towards the node.
    #[must_use]
    pub fn address(family: Family) -> IpAddr {
        match family {
            Family::V4 => [192, 168, 60, 2].into(),
            Family::V6 => [0xfd00, 0x60, 0, 0, 0, 0, 0, 2].into(),
        }
    }

    /// Returns the address of the node towards the host.
    #[must_use]
    pub fn node_address(family: Family) -> IpAddr {
        match family {
            Family::V4 => [192, 168, 60, 1].into(),
            Family::V6 => [0xfd00, 0x60, 0, 0, 0, 0, 0, 1].into(),
        }
    }

    /// Lets the host unpack ipip, gre and gue (UDP port 6080) packets of the node.
    ///
    /// # Errors
    /// If the kernel lacks one of them.
    pub fn unpack_tunnels(&self) -> Outcome {
        // The modules create tunl0 and ip6tnl0 in each network namespace.
        self.namespace.ip(&[
            "link set tunl0 up",
            "link set ip6tnl0 up",
            "link add gre4 type gre local 192.168.60.2 remote 192.168.60.1",
            "link set gre4 up",
            "link add gre6 type ip6gre local fd00:60::2 remote fd00:60::1",
            "link set gre6 up",
        ])?;
        for family in ["-4", "-6"] {
            let mut command = self.namespace.command("ip");
            command.args([family, "fou", "add", "port", "6080", "gue"]);
            run(command)?.exits(0)?;
        }
        Ok(())
    }
}
