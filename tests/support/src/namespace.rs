//! A network namespace for each test.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use netlink::{Protocol, Socket, Transport as _};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
pub use rustix::thread::UnshareFlags;
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType};

use crate::messages::{attribute, message, parse};
use crate::program::run;

/// Advice of a test that runs outside of the VM.
pub const NEEDS_VM: &str =
    "this test needs root and a kernel with IPVS and ip_set: run it with `cargo xtask vm`";

/// Runs `work` on a thread in a fresh network namespace whose `lo` is up. Programs and threads that
/// `work` starts are in it too.
///
/// # Panics
///
/// Panics as `work` does, and if the namespace cannot be made.
pub fn in_namespace<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    in_bare_namespace(|| {
        bring_up("lo");
        work()
    })
}

/// Runs `work` like [`in_namespace`], but with `lo` down, as the kernel makes namespaces.
///
/// # Panics
///
/// Panics as `work` does, and if the namespace cannot be made.
pub fn in_bare_namespace<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    on_thread(|| {
        unshare(UnshareFlags::NEWNET).unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})"));
        work()
    })
}

/// Makes a network namespace and returns it; its `lo` is down.
///
/// # Errors
///
/// This process is not root, or the kernel has no network namespaces.
pub fn create() -> io::Result<File> {
    on_thread(|| {
        unshare(UnshareFlags::NEWNET)?;
        File::open("/proc/thread-self/ns/net")
    })
}

/// Runs `work` on a thread in the network namespace `namespace`.
///
/// # Panics
///
/// Panics as `work` does, and if the namespace cannot be entered.
pub fn within<R: Send>(namespace: &File, work: impl FnOnce() -> R + Send) -> R {
    on_thread(|| {
        enter(namespace)
            .unwrap_or_else(|error| panic!("failed to enter a network namespace: {error}"));
        work()
    })
}

/// Moves the calling thread to the network namespace `namespace`. A bare system call, which is
/// allowed between `fork` and `exec`.
///
/// # Errors
///
/// `CAP_SYS_ADMIN` is missing, or the descriptor is not that of a network namespace.
pub fn enter(namespace: impl AsFd) -> io::Result<()> {
    let kind = Some(LinkNameSpaceType::Network);
    Ok(rustix::thread::move_into_link_name_space(
        namespace.as_fd(),
        kind,
    )?)
}

/// Moves the calling thread to new namespaces.
///
/// # Errors
///
/// `CAP_SYS_ADMIN` is missing, or the kernel has no such namespaces.
pub fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    assert!(
        !namespaces.contains(UnshareFlags::FILES),
        "a table of descriptors is no namespace"
    );
    // SAFETY: the threads go on sharing their descriptors.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Brings the interface `name` up. A program would take so long that tests in other namespaces hold
/// up the kernel's work on the addresses of this one.
///
/// # Panics
///
/// Panics if there is no such interface, or it cannot be brought up.
#[track_caller]
pub fn bring_up(name: &str) {
    /// `RTM_NEWLINK`, `include/uapi/linux/rtnetlink.h`.
    const NEW_LINK: u16 = 16;
    /// `IFLA_IFNAME`, `include/uapi/linux/if_link.h`.
    const NAME: u16 = 3;
    let up = libc::IFF_UP.cast_unsigned();
    // Of `struct ifinfomsg` the flags and their mask.
    let mut payload = [0, 0, up, up].map(u32::to_ne_bytes).concat();
    payload.extend(attribute(NAME, format!("{name}\0").as_bytes()));
    let request = message(NEW_LINK, NLM_F_REQUEST | NLM_F_ACK, 1, &payload);
    let mut socket = Socket::open(Protocol::Route).expect("a socket");
    socket.send(&request).expect("the request is sent");
    let mut answer = Vec::new();
    socket.receive(&mut answer).expect("an answer");
    let errno = parse(&answer)[0].payload.first_chunk().copied();
    let errno = errno.map(i32::from_ne_bytes);
    assert_eq!(errno, Some(0), "failed to bring {name} up");
}

/// Returns true if the interface `name` is up.
///
/// # Panics
///
/// Panics if there is no such interface.
#[must_use]
#[track_caller]
pub fn is_up(name: &str) -> bool {
    !run("ip", &format!("link show dev {name} up"), "").is_empty()
}

/// Takes every capability from this thread.
///
/// # Panics
///
/// Panics if the kernel refuses, which it does not.
pub fn drop_capabilities() {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).expect("fewer capabilities");
}

fn on_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(work);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
