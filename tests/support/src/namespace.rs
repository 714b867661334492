//! Network namespaces, one for each test.

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

/// Panic message of a test that runs outside of the VM.
pub const NEEDS_VM: &str =
    "this test needs root and a kernel with IPVS and ip_set: run it with `cargo xtask vm`";

/// Runs `work` on a thread in a new network namespace whose `lo` is up. Programs and threads that
/// `work` starts run in the same namespace.
///
/// # Panics
///
/// Panics as `work` does, and if the namespace cannot be created.
pub fn in_namespace<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    in_bare_namespace(|| {
        bring_up("lo");
        work()
    })
}

/// Runs `work` like [`in_namespace`], but with `lo` down, as in any new namespace.
///
/// # Panics
///
/// Panics as `work` does, and if the namespace cannot be created.
pub fn in_bare_namespace<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    on_thread(|| {
        unshare(UnshareFlags::NEWNET).unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})"));
        work()
    })
}

/// Creates a network namespace with `lo` down and returns it.
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

/// Moves the calling thread to the network namespace `namespace`. Makes only one system call, so it
/// is allowed between `fork` and `exec`.
///
/// # Errors
///
/// `CAP_SYS_ADMIN` is missing, or the descriptor does not refer to a network namespace.
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
        "UnshareFlags::FILES is not a namespace"
    );
    // SAFETY: the threads still share their table of descriptors.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Sets the interface `name` up, without starting a program. Starting one takes so long that tests
/// in other namespaces delay the kernel's work on the addresses of this namespace.
///
/// # Panics
///
/// Panics if the interface does not exist or cannot be set up.
#[track_caller]
pub fn bring_up(name: &str) {
    /// `RTM_NEWLINK`, `include/uapi/linux/rtnetlink.h`.
    const NEW_LINK: u16 = 16;
    /// `IFLA_IFNAME`, `include/uapi/linux/if_link.h`.
    const NAME: u16 = 3;
    let up = libc::IFF_UP.cast_unsigned();
    // `struct ifinfomsg`; the last two words are the flags and their mask.
    let mut payload = [0, 0, up, up].map(u32::to_ne_bytes).concat();
    payload.extend(attribute(NAME, format!("{name}\0").as_bytes()));
    let request = message(NEW_LINK, NLM_F_REQUEST | NLM_F_ACK, 1, &payload);
    let mut socket = Socket::open(Protocol::Route).expect("a socket");
    socket.send(&request).expect("the request is sent");
    let mut answer = Vec::new();
    socket.receive(&mut answer).expect("an answer");
    let errno = parse(&answer)[0].payload.first_chunk().copied();
    let errno = errno.map(i32::from_ne_bytes);
    assert_eq!(errno, Some(0), "failed to set {name} up");
}

/// Returns true if the interface `name` is up.
///
/// # Panics
///
/// Panics if the interface does not exist.
#[must_use]
#[track_caller]
pub fn is_up(name: &str) -> bool {
    !run("ip", &format!("link show dev {name} up"), "").is_empty()
}

/// Drops all capabilities of this thread.
///
/// # Panics
///
/// Panics if the kernel refuses. A thread may always drop its capabilities.
pub fn drop_capabilities() {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).expect("capabilities can be dropped");
}

fn on_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(work);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
