//! Findings about Services and VirtualServers with the same claim.

use ipvs::VirtualServerKey;
use model::finding::{Code, Finding};
use model::names::{NameKind, ServicePortName};

/// Returns the finding for `loser`, which claims `key` but does not get it.
pub(super) fn finding(
    key: VirtualServerKey,
    winner: &ServicePortName,
    loser: &ServicePortName,
) -> Finding {
    let precedence = match (winner.service.kind, loser.service.kind) {
        (NameKind::Kubernetes, _) => "is older",
        (NameKind::VirtualServer, NameKind::Kubernetes) => "precedes every Service",
        (NameKind::VirtualServer, NameKind::VirtualServer) => "precedes it by name",
    };
    let field = match key {
        _ if !loser.service.is_virtual_server() => "spec.ports",
        VirtualServerKey::Address { .. } => "spec.address",
        VirtualServerKey::Fwmark { .. } => "spec.fwmark",
    };
    Finding {
        code: Code::ServiceClash,
        kind: loser.service.owner_kind(),
        object: loser.service.clone(),
        field: field.to_owned(),
        problem: format!("{key} is also claimed by {winner}, which {precedence}"),
        consequence: format!("{loser} is not served there"),
    }
}
