//! Fields of kube-ipvsd's `/owners`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{Protocol, VirtualServerKey};
use model::{ObjectName, ServicePortName};
use serde::Deserialize;

use super::plan::ServicePort;

/// Service ports and the virtual servers that they own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonOwners {
    owners: Vec<DaemonOwner>,
}

/// A virtual server with its owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct DaemonOwner {
    address: IpAddr,
    port: u16,
    protocol: String,
    service: ServicePort,
}

impl DaemonOwners {
    /// Returns the owners by the keys of their virtual servers. Entries with an unknown protocol
    /// are ignored.
    #[must_use]
    pub fn by_key(self) -> BTreeMap<VirtualServerKey, Arc<ServicePortName>> {
        let owners = self.owners.into_iter().filter_map(|owner| {
            let DaemonOwner {
                address,
                port,
                protocol,
                service,
            } = owner;
            let protocol = Protocol::named(&protocol)?;
            let key = VirtualServerKey::Address {
                address,
                port,
                protocol,
            };
            let name = ServicePortName {
                service: ObjectName::new(service.namespace, service.name),
                port: service.port.into(),
                protocol,
            };
            Some((key, Arc::new(name)))
        });
        owners.collect()
    }
}
