//! The interface to a node's kernel: [`Kernel`] and its errors. Implementations live in the crate `kernel`.

mod error;

pub use self::error::{Errno, ObserveError, OpError, OpErrorKind};
use crate::plan::Stage;
use crate::snapshot::{Scope, Snapshot};

/// The outcome of one change.
pub type OpOutcome = Result<(), OpError>;

/// A node's kernel: reads its tables and changes them. Synchronous, as netlink is; `&mut self` proves
/// that there is one writer.
pub trait Kernel {
    /// Reads what `scope` names; all else is empty in the answer.
    ///
    /// A reading that another program's changes may have left incomplete says so
    /// ([`Snapshot::torn`]).
    ///
    /// # Errors
    ///
    /// Says what could not be read; nothing is to be concluded about the tables.
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError>;

    /// Does every change of the stage, in the order in which they stand, whatever becomes of the ones
    /// before. One outcome for each, in the same order. Reports; never decides, retries or ignores.
    ///
    /// An outcome of kind [`Unknown`](OpErrorKind::Unknown) means that the answer was lost:
    /// the change may have been done, and the tables are to be read again.
    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome>;
}

impl<K: Kernel + ?Sized> Kernel for Box<K> {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        (**self).observe(scope)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        (**self).apply(stage)
    }
}

impl<K: Kernel + ?Sized> Kernel for &mut K {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        (**self).observe(scope)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        (**self).apply(stage)
    }
}
