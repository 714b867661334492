//! From clusters to tables.

use model::NodeState;

use super::change::Change;
use super::{Prepared, cluster};
use crate::table;

/// Everything at once, as after a start.
pub(super) fn full(services: u32) -> Prepared {
    let cluster = cluster(services)?;
    let (node, config) = (NodeState::default(), table::config());
    Ok(Box::new(move || {
        Box::new(planner::compile(&cluster, &node, &config))
    }))
}

/// One Service whose endpoint goes or comes, among so many.
pub(super) fn change(services: u32) -> Prepared {
    let mut change = Change::new(services)?;
    Ok(Box::new(move || Box::new(change.compile())))
}
