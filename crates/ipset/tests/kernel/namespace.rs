//! A network namespace for each test, and what the tests share.

use std::collections::BTreeMap;
use std::io;
use std::io::Write as _;
use std::process::{Command, Stdio};

use ipset::client::{Client, ErrorKind, Request};
use ipset::{Header, Set, SetName, text};

const NEEDS_VM: &str = "this test needs root and a kernel with ip_set: run it by `cargo xtask vm`";

/// Runs `test` on a client in a fresh network namespace.
///
/// # Panics
///
/// Panics as `test` does, and where there is no such namespace or no ip_set.
pub(crate) fn in_namespace<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    let in_thread = || {
        // SAFETY: only this thread, which ends with the test, changes its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            panic!("{NEEDS_VM} ({})", io::Error::last_os_error());
        }
        let client = Client::open();
        test(&mut client.unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})")))
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(in_thread);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Takes every capability from this thread.
pub(crate) fn drop_capabilities() {
    /// `_LINUX_CAPABILITY_VERSION_3`, `include/uapi/linux/capability.h`.
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let none: [u32; 6] = [0; 6];
    // SAFETY: capset reads a header of two words and data of six, which outlive the call.
    let status = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(status, 0, "capset: {}", io::Error::last_os_error());
}

/// Runs `program` in this thread's namespace, gives it `input`, and returns what it printed.
///
/// # Panics
///
/// Panics where it cannot be run or fails.
pub(crate) fn run(program: &str, arguments: &str, input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments.split_ascii_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())
            .unwrap_or_else(|error| panic!("{program}: {error}"));
    }
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn name(name: &str) -> SetName {
    SetName::new(name).expect("a name")
}

/// The sets of the lines of `ipset save`.
pub(crate) fn parse(lines: &str) -> BTreeMap<SetName, Set> {
    text::parse(lines).unwrap_or_else(|error| panic!("{error}"))
}

/// The one set of the lines of `ipset save`.
pub(crate) fn one(lines: &str) -> (SetName, Set) {
    parse(lines).pop_first().expect("a set")
}

/// Returns the requests that create and fill the sets of the lines.
pub(crate) fn requests(lines: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for (name, set) in parse(lines) {
        requests.push(Request::Create(name.clone(), set.header));
        requests.extend(adds(&name, &set));
    }
    requests
}

/// Returns the requests that fill a set.
pub(crate) fn adds(name: &SetName, set: &Set) -> Vec<Request> {
    let entries = set.entries.iter();
    entries
        .map(|entry| Request::Add(name.clone(), *entry))
        .collect()
}

/// Does every request; each succeeds.
pub(crate) fn do_all(client: &mut Client, requests: &[Request]) {
    for outcome in client.execute(requests) {
        if let Err(error) = outcome {
            panic!("{error}: {:?}", error.failure());
        }
    }
}

/// Creates and fills the sets of the lines.
pub(crate) fn make(client: &mut Client, lines: &str) {
    do_all(client, &requests(lines));
}

/// Sends the requests; returns the failure of each, if it has one.
pub(crate) fn attempts(client: &mut Client, requests: &[Request]) -> Vec<Option<ErrorKind>> {
    let outcomes = client.execute(requests).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind()))
        .collect()
}

/// Returns the sets of the kernel, as text.
pub(crate) fn kernel(client: &mut Client) -> String {
    text::print(&client.list().unwrap_or_else(|error| panic!("{error}")))
}

/// A hash of addresses and ports and how many entries it may have.
pub(crate) fn ip_port(max_elements: u32) -> Header {
    let (_, set) = one(&format!("create A hash:ip,port maxelem {max_elements}"));
    set.header
}
