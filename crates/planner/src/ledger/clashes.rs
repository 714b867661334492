//! What to say where two Services claim the same.

use ipvs::VirtualServerKey;
use model::finding::{Code, Finding};

use super::Ranked;

/// A finding for each Service port that lost `key`.
pub(super) fn of(key: VirtualServerKey, claims: &[Ranked]) -> impl Iterator<Item = Finding> {
    let mut owners = claims
        .chunk_by(|a, b| a.precedence() == b.precedence())
        .map(|own| &own[0].claim.owner);
    let winner = owners.next();
    owners.filter_map(move |loser| {
        Some(Finding {
            code: Code::ServiceClash,
            kind: "Service",
            object: loser.service.clone(),
            field: "spec.ports".to_owned(),
            problem: format!("{key} is also claimed by {}, which is older", winner?),
            consequence: format!("{loser} is not served there"),
        })
    })
}
