//! `/owners`: the Service port or VirtualServer that owns each virtual server, as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use hyper::StatusCode;
use ipvs::VirtualServerKey;
use model::Owners;
use model::names::ServicePortName;
use serde::Serialize;

use super::Reply;
use super::service_port::ServicePort;

/// The owners as they were last shown. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct OwnersPage(Arc<RwLock<Shown>>);

/// Copy of the owners of virtual servers.
type Shown = Arc<BTreeMap<VirtualServerKey, Arc<ServicePortName>>>;

/// Content of the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    api_version: &'static str,
    kind: &'static str,
    owners: Vec<Owner>,
}

/// A virtual server with its owner.
#[derive(Debug, Serialize)]
struct Owner {
    #[serde(flatten)]
    key: Key,
    service: ServicePort,
}

/// Key of a virtual server.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Key {
    Address {
        address: IpAddr,
        port: u16,
        protocol: String,
    },
    Fwmark {
        fwmark: NonZeroU32,
        family: String,
    },
}

impl From<VirtualServerKey> for Key {
    fn from(key: VirtualServerKey) -> Self {
        match key {
            VirtualServerKey::Address {
                address,
                port,
                protocol,
            } => Self::Address {
                address,
                port,
                protocol: protocol.to_string(),
            },
            VirtualServerKey::Fwmark { family, mark } => Self::Fwmark {
                fwmark: mark,
                family: family.to_string(),
            },
        }
    }
}

impl OwnersPage {
    /// Shows these owners from now on.
    pub fn show(&self, owners: &Owners) {
        let copy = Arc::new(owners.virtual_servers.clone());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = copy;
    }

    /// Returns the page. Before the first sync it has no owners.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let shown = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let owners = shown.iter().map(|(key, owner)| Owner {
            key: (*key).into(),
            service: owner.as_ref().into(),
        });
        let page = Page {
            api_version: "kube-ipvs.io/v1alpha1",
            kind: "Owners",
            owners: owners.collect(),
        };
        match serde_json::to_string(&page) {
            Ok(text) => Reply::json(StatusCode::OK, text + "\n"),
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use ipvs::{AddressFamily, Protocol};
    use model::names::ObjectName;

    use super::*;

    #[test]
    fn owners_are_shown_as_json() {
        let page = OwnersPage::default();
        let empty = r#"{"apiVersion":"kube-ipvs.io/v1alpha1","kind":"Owners","owners":[]}"#;
        assert_eq!(page.reply().body.trim_end(), empty);
        let service = VirtualServerKey::Address {
            address: [10, 96, 0, 10].into(),
            port: 80,
            protocol: Protocol::Tcp,
        };
        let mark = VirtualServerKey::Fwmark {
            family: AddressFamily::Ipv6,
            mark: NonZeroU32::MIN,
        };
        let mut owners = Owners::default();
        for (key, name, port) in [
            (service, ObjectName::new("shop", "web"), "http"),
            (mark, ObjectName::virtual_server("shop", "web"), ""),
        ] {
            let owner = ServicePortName {
                service: name,
                port: port.into(),
                protocol: Protocol::Tcp,
            };
            owners.virtual_servers.insert(key, Arc::new(owner));
        }
        page.clone().show(&owners);
        let list = concat!(
            r#"[{"address":"10.96.0.10","port":80,"protocol":"TCP","#,
            r#""service":{"namespace":"shop","name":"web","port":"http"}},"#,
            r#"{"fwmark":1,"family":"IPv6","#,
            r#""service":{"kind":"VirtualServer","namespace":"shop","name":"web","port":""}}]"#
        );
        assert_eq!(page.reply().body.trim_end(), empty.replace("[]", list));
    }
}
