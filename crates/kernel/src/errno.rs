//! Converts Linux error numbers of changes to error kinds and back.

use std::net::IpAddr;

use model::Op;
use model::kernel::{Errno, OpError, OpErrorKind};

/// Returns the error for `op`, which the kernel answered with `errno`.
#[must_use]
pub fn op_error(op: Op, errno: Errno) -> OpError {
    let kind = kind_of(&op, errno);
    OpError::new(op, kind, Some(errno))
}

/// Returns the meaning of `errno` as an answer to `op`.
///
/// Source: `ip_vs_genl_set_cmd`, `net/netfilter/ipvs/ip_vs_ctl.c`; `start_sync_thread`,
/// `stop_sync_thread`, `net/netfilter/ipvs/ip_vs_sync.c`; `inet_rtm_newaddr`,
/// `net/ipv4/devinet.c`; `inet6_rtm_newaddr`, `net/ipv6/addrconf.c`; Linux 6.1.
#[must_use]
pub fn kind_of(op: &Op, errno: Errno) -> OpErrorKind {
    match (errno.0, op) {
        // From `addrconf_add_dev`. A process without the capability gets EPERM instead.
        (libc::EACCES, Op::AddAddress(IpAddr::V6(_))) => OpErrorKind::Ipv6Disabled,
        (libc::EPERM | libc::EACCES, _) => OpErrorKind::NotPermitted,
        (libc::EEXIST, _) => OpErrorKind::AlreadyExists,
        (libc::ERANGE, _) => OpErrorKind::OutOfRange,
        (libc::EINVAL, _) => OpErrorKind::Invalid,
        (libc::ENODEV, Op::DelDevice | Op::AddAddress(_) | Op::DelAddress(_)) => {
            OpErrorKind::NoDevice
        }
        (libc::ENODEV, Op::StartSyncDaemon(_)) => OpErrorKind::NoSuchInterface,
        (libc::ESRCH, Op::StopSyncDaemon(_)) => OpErrorKind::NoSuchSyncDaemon,
        (libc::EADDRNOTAVAIL, Op::DelAddress(_)) => OpErrorKind::NoSuchAddress,
        // A missing persistence engine has the same number.
        (libc::ENOENT, Op::AddVirtualServer(server) | Op::SetVirtualServer(server))
            if server.persistence_engine.is_none() =>
        {
            OpErrorKind::UnknownScheduler(server.scheduler.clone())
        }
        (libc::ENOENT, Op::SetRealServer(..) | Op::DelRealServer(..)) => {
            OpErrorKind::NoSuchRealServer
        }
        (
            libc::ESRCH,
            Op::SetVirtualServer(_)
            | Op::DelVirtualServer(_)
            | Op::AddRealServer(..)
            | Op::SetRealServer(..)
            | Op::DelRealServer(..),
        ) => OpErrorKind::NoSuchVirtualServer,
        _ => OpErrorKind::Other(errno),
    }
}

/// Returns the kernel's number for an error kind, or `None` if the kernel has no number for it.
#[must_use]
pub fn errno_of(kind: &OpErrorKind) -> Option<Errno> {
    let number = match kind {
        OpErrorKind::AlreadyExists | OpErrorKind::NotDummy => libc::EEXIST,
        OpErrorKind::NoSuchVirtualServer | OpErrorKind::NoSuchSyncDaemon => libc::ESRCH,
        OpErrorKind::NoSuchRealServer | OpErrorKind::UnknownScheduler(_) => libc::ENOENT,
        OpErrorKind::NoSuchAddress => libc::EADDRNOTAVAIL,
        OpErrorKind::NoDevice | OpErrorKind::NoSuchInterface => libc::ENODEV,
        OpErrorKind::NotPermitted => libc::EPERM,
        OpErrorKind::Ipv6Disabled => libc::EACCES,
        OpErrorKind::OutOfRange => libc::ERANGE,
        OpErrorKind::Invalid => libc::EINVAL,
        OpErrorKind::NoSuchSet | OpErrorKind::NoSuchSetting => libc::ENOENT,
        OpErrorKind::ReadOnlySetting => libc::EROFS,
        OpErrorKind::SetInUse
        | OpErrorKind::SetFull
        | OpErrorKind::FilterRefused
        | OpErrorKind::FilterLocked
        | OpErrorKind::NoFilterProgram
        | OpErrorKind::NoIpvs
        | OpErrorKind::NoPacketFilter
        | OpErrorKind::ProgramKilled
        | OpErrorKind::Stopping
        | OpErrorKind::ReadOnly
        | OpErrorKind::Unknown => return None,
        OpErrorKind::Other(errno) => return Some(*errno),
    };
    Some(Errno(number))
}
