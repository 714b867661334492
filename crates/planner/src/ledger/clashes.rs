//! What to say where two Services claim the same.

use std::collections::BTreeMap;

use ipvs::VirtualServerKey;
use model::finding::{Code, Finding};

use super::{Claims, Precedence};

/// A finding for each Service port that lost `key`.
pub(super) fn of(
    key: VirtualServerKey,
    claims: Option<&BTreeMap<Precedence, Claims>>,
) -> impl Iterator<Item = Finding> {
    let mut owners = (claims.into_iter())
        .flat_map(BTreeMap::keys)
        .map(|precedence| &precedence.owner);
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
