//! The seam between kube-ipvs and the Linux kernel: what reads a node's tables and changes them.
//!
//! [`Kernel`] has two implementations, [`linux`] and [`memory`], which answer alike: [`contract`] is
//! the suite that both pass. [`read_only`] has kernels that cannot change anything.

mod carry_out;
pub mod contract;
mod error;
pub mod linux;
pub mod memory;
pub mod read_only;
mod seam;

pub use carry_out::{Fate, carry_out};
pub use error::{ModprobeError, ObserveError, OpError, OpErrorKind, OpenError};
pub use linux::{LinuxKernel, ModulePolicy};
pub use memory::MemoryKernel;
pub use netlink::Errno;
pub use read_only::{ReadOnly, Saved};
pub use seam::{Kernel, OpOutcome};
