//! Implementations of [`Kernel`], which reads and changes the tables of a node.
//!
//! - [`linux`] is the Linux kernel.
//! - [`memory`] is a kernel in memory with the same behaviour.
//! - [`read_only`] contains kernels that reject every change.
//! - [`contract`] is the test suite that [`linux`] and [`memory`] pass.

mod apply_plan;
pub mod contract;
mod errno;
mod error;
pub mod linux;
pub mod memory;
pub mod read_only;

pub use apply_plan::{OpStatus, apply_plan, apply_plan_until};
pub use errno::{errno_of, kind_of, op_error};
pub use error::{ModprobeError, OpenError};
pub use linux::{LinuxKernel, ModulePolicy};
pub use memory::MemoryKernel;
pub use model::kernel::{Errno, Kernel, ObserveError, OpError, OpErrorKind, OpOutcome};
pub use read_only::{ReadOnly, Saved};
