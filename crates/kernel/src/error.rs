//! Errors of opening a kernel.

use std::io;

use model::kernel::Errno;

#[cfg(test)]
mod tests;

/// A kernel that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// IPVS is not in the kernel, and its module was not loaded.
    #[error(
        "the kernel has no IPVS: load its module (modprobe ip_vs); where there is none, install the \
         distribution's package of kernel modules for {release}, or a kernel built with CONFIG_IP_VS"
    )]
    NoModule {
        /// The running kernel.
        release: String,
        /// Why the module could not be loaded; none where that was not tried.
        source: Option<ModprobeError>,
    },
    /// The process may not use IPVS, not even read it.
    #[error(
        "not permitted to use IPVS: run as root, or with the capability CAP_NET_ADMIN in the user \
         namespace that owns the network namespace"
    )]
    NotPermitted {
        /// The kernel's word.
        source: Errno,
    },
    /// A netlink socket could not be opened.
    #[error("failed to open a {protocol} socket")]
    Socket {
        /// The protocol.
        protocol: &'static str,
        /// The cause.
        source: netlink::OpenError,
    },
    /// IPVS is there, but did not answer.
    #[error("failed to ask the kernel for IPVS")]
    Failed {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A module that was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModprobeError {
    /// `modprobe` could not be started.
    #[error("failed to run modprobe {module}")]
    Start {
        /// The module.
        module: String,
        /// The cause.
        source: io::Error,
    },
    /// `modprobe` failed.
    #[error("modprobe {module} failed: {message}")]
    Failed {
        /// The module.
        module: String,
        /// The program's message, or its status.
        message: String,
    },
    /// `modprobe` was killed: it did not end, or the daemon is stopping.
    #[error("modprobe {module} gave no result")]
    Killed {
        /// The module.
        module: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `modprobe` succeeded, and IPVS is still missing.
    #[error("modprobe {module} succeeded, but the kernel still has no IPVS")]
    Useless {
        /// The module.
        module: String,
    },
}
