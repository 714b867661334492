//! Errors of reading and changing the kernel's tables.

use std::{fmt, io};

use ipvs::Scheduler;

use crate::DEVICE;
use crate::plan::Op;

/// An error number of the kernel, for example 3 for `ESRCH`. Prints as the system's message for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

/// An op that failed, or whose outcome is unknown. Prints the op; the cause is the error's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpError(Box<FailedOp>);

/// Contents of an [`OpError`], boxed since most ops succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FailedOp {
    op: Op,
    cause: Cause,
}

impl OpError {
    /// Returns the error of `op`. `errno` is the kernel's error number, if it reported one.
    #[must_use]
    pub fn new(op: Op, kind: OpErrorKind, errno: Option<Errno>) -> Self {
        let cause = Cause {
            kind,
            errno,
            message: None,
        };
        Self(Box::new(FailedOp { op, cause }))
    }

    /// Adds the message that the kernel or a program reported beside the number.
    #[must_use]
    pub fn with_message(mut self, message: Option<String>) -> Self {
        self.0.cause.message = message;
        self
    }

    /// Returns the op.
    #[must_use]
    pub fn op(&self) -> &Op {
        &self.0.op
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> &OpErrorKind {
        &self.0.cause.kind
    }

    /// Returns the kernel's error number, if it reported one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.0.cause.errno
    }
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}", self.0.op)
    }
}

impl std::error::Error for OpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.cause)
    }
}

/// The kind of failure with the error number and message behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    kind: OpErrorKind,
    errno: Option<Errno>,
    message: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.errno) {
            (OpErrorKind::Other(errno), _) => errno.fmt(f)?,
            (kind, Some(errno)) => write!(f, "{kind}: {errno}")?,
            (kind, None) => kind.fmt(f)?,
        }
        match &self.message {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Cause {}

/// Kind of an op's failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpErrorKind {
    /// The kernel already has an entry with this key (`EEXIST`).
    #[error("it already exists")]
    AlreadyExists,
    /// The kernel has no virtual server with this key (`ESRCH`).
    #[error("there is no such virtual server")]
    NoSuchVirtualServer,
    /// The virtual server has no real server with this key (`ENOENT`).
    #[error("the virtual server has no such real server")]
    NoSuchRealServer,
    /// The dummy device does not have this address (`EADDRNOTAVAIL`).
    #[error("{DEVICE} has no such address")]
    NoSuchAddress,
    /// The dummy device does not exist (`ENODEV`).
    #[error("there is no device {DEVICE}")]
    NoDevice,
    /// The interface of a synchronisation daemon does not exist (`ENODEV`).
    #[error("there is no such interface")]
    NoSuchInterface,
    /// No synchronisation daemon of this role runs (`ESRCH`).
    #[error("no such synchronisation daemon runs")]
    NoSuchSyncDaemon,
    /// A device of another kind has the dummy device's name.
    #[error(
        "a device named {DEVICE} exists and is not a dummy device: rename or delete it \
         (ip link delete {DEVICE})"
    )]
    NotDummy,
    /// The kernel does not have the scheduler and could not load its module (`ENOENT`).
    #[error("the kernel has no scheduler {name}: load its module (modprobe ip_vs_{name})", name = .0.0)]
    UnknownScheduler(Scheduler),
    /// The module `ip_vs` was unloaded after the kernel was opened. Nothing was changed.
    #[error("the kernel no longer has IPVS: load its module (modprobe ip_vs)")]
    NoIpvs,
    /// The process lacks `CAP_NET_ADMIN` in the user namespace of its network namespace (`EPERM`).
    #[error("not permitted, CAP_NET_ADMIN is missing")]
    NotPermitted,
    /// IPv6 is disabled on the dummy device, so that IPv6 addresses cannot be added (`EACCES`). The
    /// device inherits the setting from `default` when it is created. Other IPv6 tables work.
    #[error(
        "IPv6 is disabled on {DEVICE}: set net.ipv6.conf.{DEVICE}.disable_ipv6 = 0, or use Services without IPv6"
    )]
    Ipv6Disabled,
    /// The set does not exist (`ENOENT`).
    #[error("there is no such set")]
    NoSuchSet,
    /// A rule uses the set (`IPSET_ERR_BUSY`, `IPSET_ERR_REFERENCED`).
    #[error("a rule still uses the set")]
    SetInUse,
    /// The set has reached its maximum number of entries (`IPSET_ERR_HASH_FULL`).
    #[error("the set is full")]
    SetFull,
    /// The kernel does not have the setting (`ENOENT`).
    #[error("the kernel has no such setting")]
    NoSuchSetting,
    /// The setting is mounted read-only (`EROFS`), as in an unprivileged container.
    #[error(
        "kernel settings are read-only here: run `kube-ipvsd --init-only` in a privileged container first"
    )]
    ReadOnlySetting,
    /// The packet filter refused the rules.
    #[error("the packet filter refused the rules")]
    FilterRefused,
    /// The kernel lacks the packet filter of this family, or its table `nat`: the module does not
    /// exist or is not loaded.
    #[error("this kernel lacks the packet filter of the family")]
    NoPacketFilter,
    /// Another program holds the lock of the packet filter.
    #[error("another program is changing the packet filter")]
    FilterLocked,
    /// The program that changes the packet filter could not be run.
    #[error("the program that changes the packet filter cannot be run")]
    NoFilterProgram,
    /// The program that changes the packet filter was killed, for example at its timeout. Changes
    /// that it had made remain.
    #[error("the program that changes the packet filter was killed")]
    ProgramKilled,
    /// The daemon is stopping: the op was not tried, or its program was killed.
    #[error("the daemon is stopping")]
    Stopping,
    /// The kernel was opened read-only. Nothing was sent.
    #[error("the kernel was opened read-only: nothing was changed")]
    ReadOnly,
    /// A number is out of range, for example a lower threshold above the upper one (`ERANGE`).
    #[error("a number is out of range")]
    OutOfRange,
    /// The op is malformed or contradictory, for example a real server of another family
    /// (`EINVAL`).
    #[error("the kernel does not accept these settings")]
    Invalid,
    /// The kernel's answer was lost: the change may have been made. The tables must be read again.
    #[error("the kernel's answer was lost, the outcome is not known")]
    Unknown,
    /// Any other error number.
    #[error(transparent)]
    Other(Errno),
}

impl OpErrorKind {
    /// Returns the operator's next step if the error persists.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UnknownScheduler(_) => {
                "load the scheduler's module, or configure another scheduler"
            }
            Self::NoIpvs => "load the module ip_vs",
            Self::NotDummy => "rename or delete the device",
            Self::NoSuchInterface => "create the interface, or correct ipvs.sync.interface",
            Self::NotPermitted => {
                "give the container CAP_NET_ADMIN in the host's network namespace"
            }
            Self::Ipv6Disabled => "enable IPv6 on the device",
            Self::ReadOnlySetting => "run kube-ipvsd --init-only in a privileged container first",
            Self::NoSuchSetting => "use a kernel that has the setting",
            Self::SetFull => {
                "reduce the number of Services and endpoints, see kubeipvs_set_entries_limit"
            }
            Self::SetInUse => "remove rules of other programs that use the set",
            Self::FilterRefused => {
                "see the log of kube-ipvsd for the refused rule, and load its module"
            }
            Self::NoPacketFilter => {
                "load the modules of the packet filter (iptable_nat, ip6table_nat or nf_tables)"
            }
            Self::FilterLocked => {
                "find the program that holds the lock of iptables (/run/xtables.lock)"
            }
            Self::NoFilterProgram => {
                "install iptables-restore and ip6tables-restore, or fix iptablesBackend"
            }
            Self::ProgramKilled => {
                "check whether the node is overloaded or has too many rules of other programs"
            }
            Self::AlreadyExists
            | Self::NoSuchVirtualServer
            | Self::NoSuchRealServer
            | Self::NoSuchAddress
            | Self::NoDevice
            | Self::NoSuchSyncDaemon
            | Self::NoSuchSet => "find the program that changes the same tables",
            Self::Stopping
            | Self::ReadOnly
            | Self::OutOfRange
            | Self::Invalid
            | Self::Unknown
            | Self::Other(_) => "see the log of kube-ipvsd",
        }
    }
}

/// A failed reading.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The process lacks `CAP_NET_ADMIN`, which readings also need.
    #[error("failed to read {what}: not permitted, CAP_NET_ADMIN is missing")]
    NotPermitted {
        /// The part that was being read.
        what: &'static str,
        /// The kernel's error number.
        source: Errno,
    },
    /// A device of another kind has the dummy device's name.
    #[error(
        "device {DEVICE} is of kind {kind}, not dummy: rename or delete it \
         (ip link delete {DEVICE})"
    )]
    NotDummy {
        /// Kind of the device; "unknown" if the kernel does not report it, as for hardware.
        kind: String,
    },
    /// The daemon is stopping.
    #[error("stopped reading {what}: the daemon is stopping")]
    Stopping {
        /// The part that was being read.
        what: &'static str,
    },
    /// The kernel refused the reading, or its answer could not be decoded.
    #[error("failed to read {what}")]
    Failed {
        /// The part that was being read.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
