//! Kernels that reject every change, as used by `ipvsctl diff`.

use model::{NodeTables, Scope, Snapshot, Stage};

use model::kernel::{Kernel, OpOutcome};
use model::kernel::{ObserveError, OpError, OpErrorKind};

#[cfg(test)]
mod tests;

/// Reads through another kernel and never changes it. The inner kernel is not accessible, and the
/// only call to it is [`Kernel::observe`].
#[derive(Debug)]
pub struct ReadOnly<K>(K);

impl<K: Kernel> ReadOnly<K> {
    /// Wraps `kernel`.
    #[must_use]
    pub fn new(kernel: K) -> Self {
        Self(kernel)
    }
}

impl<K: Kernel> Kernel for ReadOnly<K> {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        self.0.observe(scope)
    }

    /// Rejects every change with [`OpErrorKind::ReadOnly`].
    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        refuse(stage)
    }
}

/// A kernel that answers from a snapshot, which was read earlier or elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Saved(Snapshot);

impl From<Snapshot> for Saved {
    fn from(snapshot: Snapshot) -> Self {
        Self(snapshot)
    }
}

/// Assumes that the dummy device exists if there are addresses. Other properties of the node are
/// unknown.
impl From<NodeTables> for Saved {
    fn from(tables: NodeTables) -> Self {
        Self(Snapshot {
            device: !tables.addresses.is_empty(),
            tables,
            ..Snapshot::default()
        })
    }
}

impl Kernel for Saved {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        let mut snapshot = Snapshot::default();
        snapshot.update(scope, self.0.clone());
        Ok(snapshot)
    }

    /// Rejects every change with [`OpErrorKind::ReadOnly`].
    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        refuse(stage)
    }
}

fn refuse(stage: &Stage) -> Vec<OpOutcome> {
    let ops = stage.ops.iter();
    ops.map(|planned| {
        Err(OpError::new(
            planned.op.clone(),
            OpErrorKind::ReadOnly,
            None,
        ))
    })
    .collect()
}
