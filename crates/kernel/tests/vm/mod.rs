//! Helpers for tests that need a kernel with IPVS.

#![allow(
    dead_code,
    reason = "each test target uses another part of this module"
)]

use std::error::Error as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use ipvs::AddressFamily::{Ipv4, Ipv6};
use ipvs::{
    Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags, VirtualServer,
    VirtualServerKey,
};
use kernel::linux::IptablesBackend;
use kernel::{Kernel as _, LinuxKernel, ModulePolicy, OpErrorKind};
use model::missing_family::MissingFamily;
use model::rules::{ChainKey, Rule, Rules, RulesPatch, Table};
use model::{Op, PlannedOp, Reason, Scope, Stage};

const NEEDS_VM: &str = "this test needs root and a kernel with IPVS: run it by `cargo xtask vm`";

/// Runs `test` in a fresh network namespace whose `lo` is up.
///
/// # Panics
///
/// Panics as `test` does, and if the namespace cannot be created.
pub(crate) fn in_namespace<R: Send>(test: impl FnOnce() -> R + Send) -> R {
    let in_thread = || {
        // SAFETY: only this thread, which ends with the test, changes its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            panic!("{NEEDS_VM} ({})", io::Error::last_os_error());
        }
        bring_up("lo").unwrap_or_else(|error| panic!("failed to bring up lo: {error}"));
        test()
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(in_thread);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens the kernel of this thread's network namespace.
pub(crate) fn open() -> LinuxKernel {
    match LinuxKernel::open(ModulePolicy::Load) {
        Ok(kernel) => kernel,
        Err(error) => panic!("{NEEDS_VM} ({error})"),
    }
}

/// Sets the interface `name` up.
pub(crate) fn bring_up(name: &str) -> io::Result<()> {
    let socket = control_socket()?;
    // SAFETY: an all-zero `ifreq` is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    set_name(&mut request, name);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which outlives the call.
    check(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    })
}

/// Returns true if `name` is up.
pub(crate) fn is_up(name: &str) -> io::Result<bool> {
    let socket = control_socket()?;
    // SAFETY: an all-zero `ifreq` is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    set_name(&mut request, name);
    // SAFETY: SIOCGIFFLAGS reads and writes one `ifreq`, which outlives the call.
    check(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS as _,
            &raw mut request,
        )
    })?;
    // SAFETY: SIOCGIFFLAGS has set the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(libc::c_int::from(flags) & libc::IFF_UP != 0)
}

/// Creates a bridge.
pub(crate) fn make_bridge(name: &str) -> io::Result<()> {
    /// `include/uapi/linux/sockios.h`.
    const SIOCBRADDBR: libc::c_ulong = 0x89a0;
    let socket = control_socket()?;
    let name = std::ffi::CString::new(name)?;
    // SAFETY: SIOCBRADDBR reads a name of at most 16 bytes that ends in a zero and outlives the
    // call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCBRADDBR as _, name.as_ptr()) })
}

fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are involved.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket.min(0))?;
    // SAFETY: the socket was just made and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn set_name(request: &mut libc::ifreq, name: &str) {
    assert!(name.len() < request.ifr_name.len());
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Drops all capabilities of this thread.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`, `include/uapi/linux/capability.h`.
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let none: [u32; 6] = [0; 6];
    // SAFETY: capset reads a header of two words and data of six, which outlive the call.
    let status = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    check(status as libc::c_int)
}

pub(crate) fn tcp(address: impl Into<IpAddr>, port: u16) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: address.into(),
        port,
        protocol: Protocol::Tcp,
    }
}

pub(crate) fn server(key: VirtualServerKey, scheduler: &str) -> VirtualServer {
    VirtualServer {
        key,
        scheduler: Scheduler(scheduler.into()),
        flags: ServiceFlags::empty(),
        persistence_timeout: Duration::ZERO,
        persistence_prefix: 32,
        persistence_engine: None,
    }
}

pub(crate) fn real(address: Ipv4Addr, weight: u32) -> RealServer {
    RealServer {
        key: RealServerKey {
            address: address.into(),
            port: 8080,
        },
        forwarding: Forwarding::Masquerade,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

pub(crate) fn stage(ops: impl IntoIterator<Item = Op>) -> Stage {
    let ops = ops.into_iter().map(|op| PlannedOp {
        op,
        owner: None,
        reason: Reason::Missing,
    });
    Stage { ops: ops.collect() }
}

/// Applies `ops` as one stage and returns the error of each.
pub(crate) fn apply(
    kernel: &mut LinuxKernel,
    ops: impl IntoIterator<Item = Op>,
) -> Vec<Option<OpErrorKind>> {
    let outcomes = kernel.apply(&stage(ops)).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind().clone()))
        .collect()
}

/// Applies `ops` as one stage. Panics unless all of them succeed.
pub(crate) fn do_all(kernel: &mut LinuxKernel, ops: impl IntoIterator<Item = Op>) {
    for outcome in kernel.apply(&stage(ops)) {
        if let Err(error) = outcome {
            panic!("{error}: {:?}", error.kind());
        }
    }
}

/// Returns ops for `count` virtual servers 10.96.x.y:80/TCP with `reals` real servers each.
pub(crate) fn table(count: u16, reals: u8) -> Vec<Op> {
    (0..count)
        .flat_map(|number| {
            let [high, low] = number.to_be_bytes();
            let key = tcp(Ipv4Addr::new(10, 96, high, low), 80);
            let add_reals = (0..reals).map(move |each| {
                let real = real(Ipv4Addr::new(10, 1 + each, high, low), 1);
                Op::AddRealServer(key, real)
            });
            std::iter::once(Op::AddVirtualServer(server(key, "rr"))).chain(add_reals)
        })
        .collect()
}

/// Checks that rules of `chains` are written for IPv4, and none for IPv6, whose packet filter the
/// kernel lacks completely or partly. The cause of the error contains each text of `cause`.
pub(crate) fn check_rules_of_ipv4_alone(chains: &[(Table, &str)], cause: &[&str]) {
    let mut kernel = open().with_iptables(IptablesBackend::Legacy);
    let patch = |family| {
        let chains = chains.iter().map(|(table, name)| {
            let key = ChainKey::new(*table, *name);
            (key, vec![Rule::parse("-j RETURN")])
        });
        let patch = RulesPatch {
            chains: chains.collect(),
            ..RulesPatch::default()
        };
        Op::PatchRules(family, patch.into())
    };
    do_all(&mut kernel, [patch(Ipv4)]);
    let outcome = kernel.apply(&stage([patch(Ipv6)])).remove(0);
    let error = outcome.expect_err("the kernel lacks the packet filter");
    assert_eq!(error.kind(), &OpErrorKind::NoPacketFilter);
    let found = error.source().expect("the error has a cause").to_string();
    for wanted in cause {
        assert!(found.contains(wanted), "{found}");
    }
    let rules = kernel.observe(&Scope {
        rules: true,
        ..Scope::NOTHING
    });
    let rules = rules.expect("the rules are read").tables.rules;
    assert_eq!(rules[&Ipv6], Rules::default());
    assert_eq!(rules[&Ipv4].chains.len(), chains.len());
    let missing = missing_family(&mut kernel).expect("a family is missing");
    assert_eq!(missing.family, Ipv6, "{missing}");
}

/// Returns the family that cannot be served on this node.
pub(crate) fn missing_family(kernel: &mut LinuxKernel) -> Option<MissingFamily> {
    let settings = kernel.observe(&Scope {
        settings: true,
        ..Scope::NOTHING
    });
    settings.expect("the settings are read").node.missing
}
