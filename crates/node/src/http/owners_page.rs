//! `/owners`: the Service port that owns each virtual server, as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use hyper::StatusCode;
use ipvs::VirtualServerKey;
use model::Owners;
use model::names::ServicePortName;
use serde::Serialize;

use super::Reply;

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
    address: IpAddr,
    port: u16,
    protocol: String,
    service: ServicePort,
}

/// A port of a Service.
#[derive(Debug, Serialize)]
struct ServicePort {
    namespace: String,
    name: String,
    port: String,
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
        let owners = shown.iter().filter_map(|(key, owner)| match key {
            VirtualServerKey::Address {
                address,
                port,
                protocol,
            } => Some(Owner {
                address: *address,
                port: *port,
                protocol: protocol.to_string(),
                service: ServicePort {
                    namespace: owner.service.namespace.to_string(),
                    name: owner.service.name.to_string(),
                    port: owner.port.to_string(),
                },
            }),
            // Only VirtualServers have firewall marks, which are not reported.
            VirtualServerKey::Fwmark { .. } => None,
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
    use ipvs::Protocol;
    use model::names::ObjectName;

    use super::*;

    #[test]
    fn owners_are_shown_as_json() {
        let page = OwnersPage::default();
        let empty = r#"{"apiVersion":"kube-ipvs.io/v1alpha1","kind":"Owners","owners":[]}"#;
        assert_eq!(page.reply().body.trim_end(), empty);
        let key = VirtualServerKey::Address {
            address: [10, 96, 0, 10].into(),
            port: 80,
            protocol: Protocol::Tcp,
        };
        let name = ServicePortName {
            service: ObjectName::new("shop", "web"),
            port: "http".into(),
            protocol: Protocol::Tcp,
        };
        let mut owners = Owners::default();
        owners.virtual_servers.insert(key, Arc::new(name));
        page.clone().show(&owners);
        let owner = concat!(
            r#"{"address":"10.96.0.10","port":80,"protocol":"TCP","#,
            r#""service":{"namespace":"shop","name":"web","port":"http"}}"#
        );
        assert_eq!(
            page.reply().body.trim_end(),
            empty.replace("[]", &format!("[{owner}]"))
        );
    }
}
