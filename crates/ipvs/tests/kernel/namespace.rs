//! A network namespace for each test, and what the tests share.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use ipvs::client::{Client, ErrorKind, Request};
use ipvs::text::{Line, parse_line, parse_lines};
use ipvs::{RealServer, VirtualServer, VirtualServerKey};

const NEEDS_VM: &str = "this test needs root and a kernel with IPVS: run it by `cargo xtask vm`";

/// Runs `test` on a client in a fresh network namespace whose `lo` is up.
///
/// # Panics
///
/// Panics as `test` does, and where there is no such namespace or no IPVS.
pub(crate) fn in_namespace<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    in_bare_namespace(|client| {
        bring_up("lo").unwrap_or_else(|error| panic!("failed to bring up lo: {error}"));
        test(client)
    })
}

/// The same with `lo` down, as the kernel makes namespaces.
pub(crate) fn in_bare_namespace<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    let in_thread = || {
        // SAFETY: only this thread, which ends with the test, changes its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            panic!("{NEEDS_VM} ({})", io::Error::last_os_error());
        }
        test(&mut open())
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(in_thread);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A client in this thread's namespace.
pub(crate) fn open() -> Client {
    Client::open().unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})"))
}

/// Brings the interface `name` up.
pub(crate) fn bring_up(name: &str) -> io::Result<()> {
    // SAFETY: no pointers are involved.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the socket was just made and is owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: an all-zero `ifreq` is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which outlives the call.
    let status = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
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
    use std::io::Write as _;
    use std::process::{Command, Stdio};

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

/// The virtual server of a line of `ipvsadm-save`.
pub(crate) fn server(line: &str) -> VirtualServer {
    match parse_line(line) {
        Ok(Line::VirtualServer(server)) => server,
        other => panic!("{line}: {other:?}"),
    }
}

/// The real server of a line of `ipvsadm-save`, and its virtual server's key.
pub(crate) fn real(line: &str) -> (VirtualServerKey, RealServer) {
    match parse_line(line) {
        Ok(Line::RealServer(key, real)) => (key, real),
        other => panic!("{line}: {other:?}"),
    }
}

/// Returns the requests that add the lines of `text`.
pub(crate) fn requests(text: &str) -> Vec<Request> {
    let lines = parse_lines(text).unwrap_or_else(|error| panic!("{error}"));
    lines
        .into_iter()
        .map(|line| match line {
            Line::VirtualServer(server) => Request::NewService(server),
            Line::RealServer(key, real) => Request::NewDest(key, real),
        })
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

/// Adds the lines of `text`; each succeeds.
pub(crate) fn add(client: &mut Client, text: &str) {
    do_all(client, &requests(text));
}

/// Sends one request; returns its failure, if it has one.
pub(crate) fn attempt(client: &mut Client, request: Request) -> Option<ErrorKind> {
    attempts(client, &[request])[0]
}

/// Sends the requests; returns the failure of each, if it has one.
pub(crate) fn attempts(client: &mut Client, requests: &[Request]) -> Vec<Option<ErrorKind>> {
    let outcomes = client.execute(requests).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind()))
        .collect()
}

/// Returns the kernel's tables as text, sorted; read whole.
pub(crate) fn text(client: &mut Client) -> Vec<String> {
    use ipvs::text::{print_real_server, print_virtual_server};

    let table = client.table().unwrap_or_else(|error| panic!("{error}"));
    assert!(!table.torn, "nobody else writes here");
    let mut lines = Vec::new();
    for entry in table.entries.values() {
        lines.push(print_virtual_server(&entry.server));
        for status in &entry.real_servers {
            lines.push(print_real_server(&entry.server.key, &status.server));
        }
    }
    lines.sort();
    lines
}

/// Virtual servers 10.96.x.y:80/TCP, `count` of them, with `reals` real servers each.
pub(crate) fn table_text(count: u16, reals: u8) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let _ = writeln!(text, "-A -t 10.96.{high}.{low}:80 -s rr");
        for each in 1..=reals {
            let _ = writeln!(
                text,
                "-a -t 10.96.{high}.{low}:80 -r 10.{each}.{high}.{low}:8080 -m -w 1"
            );
        }
    }
    text
}
