//! Services and pods of the demo.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use crate::objects;
use crate::probe::Probe;
use crate::socket::Protocol;
use crate::world::{Family, World};

/// All pods. The fourth is added later.
pub(super) const PODS: [&str; 12] = [
    "front-1",
    "front-2",
    "front-3",
    "front-4",
    "cart-1",
    "cart-2",
    "catalog-1",
    "catalog-2",
    "dns-1",
    "dns-2",
    "orders-1",
    "orders-2",
];

/// All pods of the Service `front`.
pub(super) const FRONT_PODS: [&str; 4] = ["front-1", "front-2", "front-3", "front-4"];

/// A Service of the shop.
pub(super) struct Shop {
    pub(super) name: &'static str,
    pub(super) pods: &'static [&'static str],
    pub(super) families: &'static [Family],
    number: u8,
    protocol: Protocol,
    port: u16,
}

/// The Service that the demo changes.
pub(super) const FRONT: Shop = Shop {
    name: "front",
    pods: &["front-1", "front-2", "front-3"],
    families: &[Family::V4, Family::V6],
    number: 1,
    protocol: Protocol::Tcp,
    port: 80,
};

/// The Service with a policy.
pub(super) const CART: Shop = Shop {
    name: "cart",
    pods: &["cart-1", "cart-2"],
    families: &[Family::V4],
    number: 2,
    protocol: Protocol::Tcp,
    port: 80,
};

/// All Services of the shop.
pub(super) const SERVICES: [Shop; 5] = [
    FRONT,
    CART,
    Shop {
        name: "catalog",
        pods: &["catalog-1", "catalog-2"],
        families: &[Family::V6],
        number: 3,
        protocol: Protocol::Tcp,
        port: 80,
    },
    Shop {
        name: "dns",
        pods: &["dns-1", "dns-2"],
        families: &[Family::V4],
        number: 4,
        protocol: Protocol::Udp,
        port: 53,
    },
    Shop {
        name: "orders",
        pods: &["orders-1", "orders-2"],
        families: &[Family::V4],
        number: 5,
        protocol: Protocol::Sctp,
        port: 9000,
    },
];

impl Shop {
    /// Returns the Service and its slices.
    pub(super) fn objects(&self, world: &World) -> Vec<Value> {
        let addresses: Vec<IpAddr> = self.addresses().collect();
        let mut service = objects::service(self.name, &addresses, &[self.protocol]);
        service["spec"]["ports"][0]["port"] = json!(self.port);
        let mut all = vec![service];
        all.extend(self.slices(world, self.pods));
        all
    }

    /// Returns the slices with these pods.
    pub(super) fn slices(&self, world: &World, pods: &[&str]) -> Vec<Value> {
        let slice = |family: &Family| {
            let endpoints: Vec<IpAddr> = world
                .pods
                .iter()
                .filter(|pod| pods.contains(&&*pod.name))
                .map(|pod| family.of(pod))
                .collect();
            objects::slice(self.name, &endpoints, &[self.protocol])
        };
        self.families.iter().map(slice).collect()
    }

    /// Returns the probe of the client for this Service.
    pub(super) fn probe<'a>(&self, world: &'a World, family: Family) -> Probe<'a> {
        Probe {
            http: self.protocol == Protocol::Tcp,
            timeout: Duration::from_secs(2),
            ..Probe::new(&world.client, self.protocol, self.target(family))
        }
    }

    /// Returns a description of that probe.
    pub(super) fn question(&self, family: Family) -> String {
        let (tool, target) = (super::tool(self.protocol), self.target(family));
        format!("{tool} {target} ({})", self.name)
    }

    fn target(&self, family: Family) -> SocketAddr {
        SocketAddr::new(family.virtual_address(self.number), self.port)
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let number = self.number;
        self.families
            .iter()
            .map(move |family| family.virtual_address(number))
    }
}

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self
            .addresses()
            .map(|address| address.to_string())
            .collect();
        let (name, port, protocol) = (self.name, self.port, self.protocol.name());
        let (addresses, pods) = (addresses.join(" and "), self.pods.len());
        write!(
            f,
            "{name:8} port {port}/{protocol} at {addresses}, {pods} pods"
        )
    }
}
