//! Ensures that no VM outlives this process: a signal that ends it kills the VMs first.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

/// Process groups of the running VMs; 0 is a free slot.
static GROUPS: [AtomicI32; 16] = [const { AtomicI32::new(0) }; 16];
static HANDLERS: Once = Once::new();

/// Kills its process group when it is dropped.
pub(crate) struct Guard {
    group: i32,
    watchdog: Option<Child>,
}

impl Guard {
    /// Guards the process group `group`, whose leader must not have been waited for yet.
    pub(crate) fn new(group: i32) -> Self {
        HANDLERS.call_once(|| {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                // SAFETY: the handler calls only functions that are safe in a signal handler.
                unsafe { libc::signal(signal, on_signal as *const () as libc::sighandler_t) };
            }
        });
        let free = |place: &&AtomicI32| {
            place
                .compare_exchange(0, group, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        // If there are more VMs than slots, the watchdog covers the rest.
        let _ = GROUPS.iter().find(free);
        Guard {
            group,
            watchdog: watchdog(group),
        }
    }

    /// Kills every process of the group.
    pub(crate) fn kill(&self) {
        kill(self.group);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
        if let Some(watchdog) = &mut self.watchdog {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        for place in &GROUPS {
            let _ = place.compare_exchange(self.group, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

/// Starts a shell that waits for the end of its input, which comes with the end of this process for
/// any reason. User-Mode Linux is several processes, and the kernel's parent-death signal reaches
/// only one.
fn watchdog(group: i32) -> Option<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read -r line; kill -9 \"-$0\"", &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()
}

extern "C" fn on_signal(signal: libc::c_int) {
    for place in &GROUPS {
        kill(place.load(Ordering::SeqCst));
    }
    // SAFETY: _exit ends the process and is safe in a signal handler.
    unsafe { libc::_exit(128 + signal) };
}

fn kill(group: i32) {
    if group > 1 {
        // SAFETY: killpg takes plain numbers; a group that is gone gives ESRCH.
        unsafe { libc::killpg(group, libc::SIGKILL) };
    }
}
