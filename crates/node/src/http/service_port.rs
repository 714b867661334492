//! A port of a Service, or a VirtualServer, in JSON.

use model::names::ServicePortName;
use serde::Serialize;

/// Owner of an entry of the tables.
#[derive(Debug, Serialize)]
pub(super) struct ServicePort {
    /// `VirtualServer` for a VirtualServer; absent for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    namespace: String,
    name: String,
    /// Empty for a VirtualServer, and if the port has no name.
    port: String,
}

impl From<&ServicePortName> for ServicePort {
    fn from(owner: &ServicePortName) -> Self {
        let service = &owner.service;
        Self {
            kind: service.is_virtual_server().then(|| service.owner_kind()),
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
            port: owner.port.to_string(),
        }
    }
}
