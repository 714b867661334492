//! The interface to a node's kernel: [`Kernel`] and its errors. The crate `kernel` implements it.

mod error;

pub use self::error::{Errno, ObserveError, OpError, OpErrorKind};
use crate::plan::Stage;
use crate::snapshot::{Scope, Snapshot};

/// Outcome of one op.
pub type OpOutcome = Result<(), OpError>;

/// A node's kernel: reads its tables and changes them.
///
/// The methods block, as netlink does. `&mut self` ensures that there is one writer.
pub trait Kernel {
    /// Reads the parts that `scope` selects; the other parts of the snapshot are empty.
    ///
    /// If another program changed a table during the reading, the snapshot may be incomplete and is
    /// marked as [`torn`](Snapshot::torn).
    ///
    /// # Errors
    ///
    /// The part that could not be read. The caller must not draw conclusions about any table.
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError>;

    /// Applies every op of the stage in order. A failed op does not stop the later ones.
    ///
    /// Returns one outcome for each op, in the same order. The implementation reports failures; it
    /// does not decide, retry or ignore.
    ///
    /// The outcome [`Unknown`](OpErrorKind::Unknown) means that the answer was lost: the kernel may
    /// have applied the op, and the caller must read the tables again.
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
