//! Fields of kube-ipvsd's `/owners`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ipvs::{AddressFamily, Protocol, VirtualServerKey};
use model::ServicePortName;
use serde::Deserialize;

use super::plan::ServicePort;

/// Service ports and VirtualServers with the virtual servers that they own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonOwners {
    owners: Vec<DaemonOwner>,
}

/// A virtual server with its owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct DaemonOwner {
    #[serde(flatten)]
    key: DaemonKey,
    service: ServicePort,
}

/// Key of a virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum DaemonKey {
    Address {
        address: IpAddr,
        port: u16,
        protocol: String,
    },
    Fwmark {
        fwmark: NonZeroU32,
        family: String,
    },
    /// A key of a newer kube-ipvsd.
    Other {},
}

impl DaemonKey {
    /// Returns the key; `None` for an unknown protocol or family.
    pub(super) fn known(&self) -> Option<VirtualServerKey> {
        match self {
            Self::Address {
                address,
                port,
                protocol,
            } => Some(VirtualServerKey::Address {
                address: *address,
                port: *port,
                protocol: Protocol::named(protocol)?,
            }),
            Self::Fwmark { fwmark, family } => Some(VirtualServerKey::Fwmark {
                family: (AddressFamily::ALL.into_iter())
                    .find(|known| known.to_string() == *family)?,
                mark: *fwmark,
            }),
            Self::Other {} => None,
        }
    }
}

impl DaemonOwners {
    /// Returns the owners by the keys of their virtual servers. Entries with an unknown protocol or
    /// family are ignored.
    #[must_use]
    pub fn by_key(self) -> BTreeMap<VirtualServerKey, Arc<ServicePortName>> {
        let owners = self.owners.into_iter().filter_map(|owner| {
            let key = owner.key.known()?;
            let name = ServicePortName {
                service: owner.service.owner(),
                port: owner.service.port.into(),
                protocol: match key {
                    VirtualServerKey::Address { protocol, .. } => protocol,
                    VirtualServerKey::Fwmark { .. } => Protocol::Tcp,
                },
            };
            Some((key, Arc::new(name)))
        });
        owners.collect()
    }
}
