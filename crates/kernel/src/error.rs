//! Errors that occur while a kernel is opened.

use std::io;

use model::kernel::Errno;

#[cfg(test)]
mod tests;

/// Reason why a kernel could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The kernel has no IPVS, and its module was not loaded.
    #[error(
        "the kernel has no IPVS: load its module (modprobe ip_vs); where there is none, install the \
         distribution's package of kernel modules for {release}, or a kernel built with CONFIG_IP_VS"
    )]
    NoModule {
        /// Release of the running kernel.
        release: String,
        /// Reason why the module could not be loaded; `None` if loading was not tried.
        source: Option<ModprobeError>,
    },
    /// The process may neither read nor change IPVS.
    #[error(
        "not permitted to use IPVS: run as root, or with the capability CAP_NET_ADMIN in the user \
         namespace that owns the network namespace"
    )]
    NotPermitted {
        /// The kernel's error number.
        source: Errno,
    },
    /// A netlink socket could not be opened.
    #[error("failed to open a {protocol} socket")]
    Socket {
        /// Name of the netlink protocol.
        protocol: &'static str,
        /// The cause.
        source: netlink::OpenError,
    },
    /// IPVS exists, but did not answer.
    #[error("failed to ask the kernel for IPVS")]
    Failed {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reason why a module was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModprobeError {
    /// `modprobe` could not be started.
    #[error("failed to run modprobe {module}")]
    Start {
        /// Name of the module.
        module: String,
        /// The cause.
        source: io::Error,
    },
    /// `modprobe` failed.
    #[error("modprobe {module} failed: {message}")]
    Failed {
        /// Name of the module.
        module: String,
        /// Message of the program, or its exit status.
        message: String,
    },
    /// `modprobe` was killed, because it did not end or because the daemon is stopping.
    #[error("modprobe {module} gave no result")]
    Killed {
        /// Name of the module.
        module: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `modprobe` succeeded, but IPVS is still missing.
    #[error("modprobe {module} succeeded, but the kernel still has no IPVS")]
    Useless {
        /// Name of the module.
        module: String,
    },
}
