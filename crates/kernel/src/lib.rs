//! Implementations of [`Kernel`], which reads a node's tables and changes them: [`linux`] and [`memory`] answer
//! alike, and [`contract`] is the suite that both pass. [`read_only`] has kernels that cannot change anything.

mod carry_out;
pub mod contract;
mod errno;
mod error;
pub mod linux;
pub mod memory;
pub mod read_only;

pub use carry_out::{Fate, carry_out};
pub use errno::{errno_of, kind_of, op_error};
pub use error::{ModprobeError, OpenError};
pub use linux::{LinuxKernel, ModulePolicy};
pub use memory::MemoryKernel;
pub use model::kernel::{Errno, Kernel, ObserveError, OpError, OpErrorKind, OpOutcome};
pub use read_only::{ReadOnly, Saved};
