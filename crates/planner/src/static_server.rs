//! Compiles VirtualServers, which describe an entry of the IPVS table directly.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{Invalid, RealServer, VirtualServerKey};
use model::cluster::StaticServer;
use model::config::{NodeConfig, SCHEDULERS};
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;
use model::names::ServicePortName;
use model::policy::CheckTarget;
use model::sets::{SetKind, service_entry};
use model::tables::{RealServers, VirtualServerEntry};

use crate::lower::{Claim, SetEntry};
use crate::node_context::NodeContext;
use crate::resolve::{CheckNotes, Checks, reserved_kind};

/// Consequence of a mistake that prevents the whole virtual server.
const NOT_SERVED: &str = "the virtual server is not programmed";

/// A compiled VirtualServer.
#[derive(Default)]
pub(crate) struct Compiled {
    /// The entries that it needs; `None` if the virtual server cannot be programmed.
    pub(crate) claim: Option<Claim>,
    /// Targets of its health check.
    pub(crate) targets: BTreeSet<CheckTarget>,
    /// Findings about the object.
    pub(crate) findings: Vec<Finding>,
}

/// Compiles `object` for this node.
pub(crate) fn compile(object: &StaticServer, node: &NodeContext, config: &NodeConfig) -> Compiled {
    let mut check = Check {
        object,
        findings: Vec::new(),
    };
    check.virtual_server();
    check.address(node);
    // A family that the node lacks has a finding of the node.
    if !check.findings.is_empty() || !node.serves(object.server.key.family()) {
        return Compiled {
            findings: check.findings,
            ..Compiled::default()
        };
    }
    let mut real_servers = check.real_servers();
    let bound = check.bound(node);
    let mut notes = CheckNotes::default();
    if let Some(checks) = Checks::of_virtual_server(object, config, &node.failed) {
        real_servers = checks.apply_to_real_servers(real_servers, &mut notes);
    }
    notes.report_real_servers(object, config, &mut check.findings);
    let key = object.server.key;
    let claim = Claim {
        owner: Arc::new(ServicePortName {
            service: object.name.clone(),
            port: "".into(),
            protocol: match key {
                VirtualServerKey::Address { protocol, .. } => protocol,
                VirtualServerKey::Fwmark { .. } => ipvs::Protocol::Tcp,
            },
        }),
        // The kind only orders the claims of one owner, and this is its only claim.
        kind: FrontendKind::ExternalIp,
        entry: Arc::new(VirtualServerEntry {
            server: object.server.clone(),
            real_servers: RealServers::from_iter(real_servers),
        }),
        finishing: None,
        is_bound: bound.is_some(),
        set_entries: [set_entry(object)].into(),
    };
    Compiled {
        claim: Some(claim),
        targets: notes.targets,
        findings: check.findings,
    }
}

/// Returns the set entry by which the rules accept the packets, and by which the virtual server is
/// recognised as ours. An entry with port 0 and that of a firewall mark match no packet; they only
/// mark the virtual server.
///
/// With `KUBE-EXTERNAL-IP` the packets are masqueraded; with `KUBE-EXTERNAL-IP-LOCAL` they keep the
/// client's address.
fn set_entry(object: &StaticServer) -> SetEntry {
    let key = object.server.key;
    SetEntry {
        kind: match object.masquerade_source {
            true => SetKind::ExternalIp,
            false => SetKind::ExternalIpLocal,
        },
        family: key.family(),
        entry: service_entry(key),
    }
}

struct Check<'a> {
    object: &'a StaticServer,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn virtual_server(&mut self) {
        let server = &self.object.server;
        for invalid in server.validate().err().unwrap_or_default() {
            let (field, problem) = (field_of(invalid), problem_of(invalid));
            self.report(Code::InvalidVirtualServer, field, problem, NOT_SERVED);
        }
        let scheduler = &*server.scheduler.0;
        if !SCHEDULERS.contains(&scheduler) && !scheduler.is_empty() {
            let problem = format!(
                "`{}` is not a scheduler of Linux: {}",
                model::SafeText::new(scheduler),
                SCHEDULERS.join(", ")
            );
            let code = Code::InvalidVirtualServer;
            self.report(code, "spec.scheduler", problem, NOT_SERVED);
        }
        let has_port = matches!(server.key, VirtualServerKey::Address { port, .. } if port != 0);
        if self.object.masquerade_source && !has_port {
            self.report(
                Code::InvalidVirtualServer,
                "spec.masqueradeSource",
                "the rules need one address and port to masquerade".to_owned(),
                NOT_SERVED,
            );
        }
    }

    fn address(&mut self, node: &NodeContext) {
        let VirtualServerKey::Address { address, port, .. } = self.object.server.key else {
            return;
        };
        if let Some(what) = reserved_kind(address) {
            let problem = format!("{address} is {what}");
            let code = Code::InvalidVirtualServer;
            self.report(code, "spec.address", problem, NOT_SERVED);
        } else if self.object.bind && node.protected.addresses.contains(&address) {
            let problem = format!("{address} is an address of the API server");
            let consequence = "the virtual server is not programmed; choose another address";
            self.report(Code::ApiServerAddress, "spec.address", problem, consequence);
        } else if let Some(name) = node.other_nodes.get(&address).filter(|_| self.object.bind) {
            let problem = format!("{address} is an address of Node {name}");
            let code = Code::OtherNodesAddress;
            self.report(code, "spec.address", problem, NOT_SERVED);
        } else if let Some(user) = node
            .protected
            .ports
            .get(&port)
            .filter(|_| node.is_own(address))
        {
            let problem = format!("{user} needs port {port} of this node");
            self.report(Code::HostPort, "spec.port", problem, NOT_SERVED);
        }
    }

    /// Returns the real servers that the kernel accepts.
    fn real_servers(&mut self) -> Vec<RealServer> {
        let mut keys = BTreeSet::new();
        let mut usable = Vec::new();
        for (index, real) in self.object.real_servers.iter().enumerate() {
            let field = format!("spec.realServers[{index}]");
            if !keys.insert(real.key) {
                let problem = format!("{} is already a real server of this object", real.key);
                self.not_used(&field, problem);
                continue;
            }
            let mut valid = true;
            for invalid in (real.validate(&self.object.server.key).err()).unwrap_or_default() {
                let problem = format!("{}: {}", real.key, problem_of(invalid));
                let field = format!("{field}.{}", field_of(invalid));
                if let Invalid::Port { virtual_port, .. } = invalid {
                    let consequence = format!("packets go to port {virtual_port}");
                    self.report(Code::PortHasNoEffect, &field, problem, &consequence);
                } else {
                    self.not_used(&field, problem);
                    valid = false;
                }
            }
            usable.extend(valid.then_some(*real));
        }
        if usable.iter().all(|real| real.weight == 0) {
            let problem = match usable.is_empty() {
                true => "there is no usable real server".to_owned(),
                false => "every real server has weight 0".to_owned(),
            };
            let consequence = "new connections are refused";
            self.report(Code::NoRealServer, "spec.realServers", problem, consequence);
        }
        usable
    }

    fn not_used(&mut self, field: &str, problem: String) {
        let consequence = "this real server is not used";
        self.report(Code::InvalidRealServer, field, problem, consequence);
    }

    /// Returns the address to bind to the dummy device. An address of an interface is not bound:
    /// packets to its other ports, which reach programs of the node, would be refused (deviation
    /// D8).
    fn bound(&mut self, node: &NodeContext) -> Option<IpAddr> {
        let VirtualServerKey::Address { address, .. } = self.object.server.key else {
            return None;
        };
        if !self.object.bind {
            return None;
        }
        if node.is_own(address) {
            let problem = format!("{address} is an address of this node");
            let consequence = "it is served, and not bound to kube-ipvs0; set spec.bind to false if it stays there";
            self.report(Code::OwnAddress, "spec.bind", problem, consequence);
            return None;
        }
        Some(address)
    }

    fn report(&mut self, code: Code, field: &str, problem: String, consequence: &str) {
        self.findings.push(Finding {
            code,
            kind: "VirtualServer",
            object: self.object.name.clone(),
            field: field.to_owned(),
            problem,
            consequence: consequence.to_owned(),
        });
    }
}

/// Returns the field of the manifest with this mistake. Fields of a real server are relative to it.
fn field_of(invalid: Invalid) -> &'static str {
    match invalid {
        Invalid::Scheduler(_) => "spec.scheduler",
        Invalid::PersistenceEngine(_) | Invalid::EngineWithoutPersistence => {
            "spec.persistence.engine"
        }
        Invalid::Flags { .. } => "spec.schedulerFlags",
        Invalid::OnePacket { .. } => "spec.onePacket",
        Invalid::Protocol { .. } => "spec.protocol",
        Invalid::PortWithoutPersistence => "spec.port",
        Invalid::PersistenceWithoutTimeout
        | Invalid::TimeoutWithoutPersistence(_)
        | Invalid::TimeoutFraction(_)
        | Invalid::TimeoutTooLong(_) => "spec.persistence.timeoutSeconds",
        Invalid::Prefix { .. } | Invalid::PrefixWithoutPersistence { .. } => {
            "spec.persistence.prefixLength"
        }
        Invalid::Address(_) | Invalid::Family { .. } => "address",
        Invalid::Port { .. } => "port",
        Invalid::Forwarding(_) => "forwarding",
        Invalid::TunnelKind(_) => "tunnel.type",
        Invalid::TunnelPort => "tunnel.port",
        Invalid::TunnelFlags { .. } => "tunnel.checksum",
        Invalid::Weight(_) => "weight",
        Invalid::Thresholds { .. } => "lowerThreshold",
    }
}

/// Returns the problem without the name of the field in the library.
fn problem_of(invalid: Invalid) -> String {
    let text = match invalid {
        Invalid::PortWithoutPersistence => {
            return "port 0, which means every port, needs spec.persistence".to_owned();
        }
        Invalid::PersistenceWithoutTimeout => return "the timeout must be above 0".to_owned(),
        other => other.to_string(),
    };
    match text.split_once(": ") {
        Some((_, problem)) => problem.to_owned(),
        None => text,
    }
}
