//! Findings about Services with the same claim.

use ipvs::VirtualServerKey;
use model::finding::{Code, Finding};
use model::names::ServicePortName;

/// Returns the finding for `loser`, which claims `key` but does not get it.
pub(super) fn finding(
    key: VirtualServerKey,
    winner: &ServicePortName,
    loser: &ServicePortName,
) -> Finding {
    Finding {
        code: Code::ServiceClash,
        kind: "Service",
        object: loser.service.clone(),
        field: "spec.ports".to_owned(),
        problem: format!("{key} is also claimed by {winner}, which is older"),
        consequence: format!("{loser} is not served there"),
    }
}
