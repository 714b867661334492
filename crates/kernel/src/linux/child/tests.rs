//! The children in these tests are shell scripts.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{ChildError, run};
use crate::linux::stop::StopSignal;

/// Far longer than any of these scripts takes unless it hangs.
const LONG: Duration = Duration::from_secs(60);
/// Time limit for scripts that hang.
const SHORT: Duration = Duration::from_millis(300);

fn script(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    command
}

fn run_script(
    text: &str,
    input: &[u8],
    limit: Duration,
) -> Result<std::process::Output, ChildError> {
    run(script(text), input, limit, &StopSignal::default())
}

/// Returns true if a process runs. A zombie does not run.
fn is_running(id: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    status.is_ok_and(|status| !status.contains(") Z "))
}

fn assert_ended(id: &str) {
    let end = Instant::now() + LONG;
    while is_running(id) {
        assert!(Instant::now() < end, "process {id} still runs");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a failing script that writes the id of a process into a file, and checks that the process
/// has ended.
fn check_killed(text: &str, stop: &StopSignal, limit: Duration) -> ChildError {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = script(text);
    command.env("FILE", file.path());
    let error = run(command, b"", limit, stop).expect_err("it is killed");
    let id = fs::read_to_string(file.path()).expect("the file exists");
    assert!(!id.is_empty(), "the script did not write the id");
    assert_ended(&id);
    error
}

#[test]
fn status_and_outputs_are_those_of_the_child() {
    let output =
        run_script("cat; echo problem >&2; exit 3", b"input", LONG).expect("the script ends");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, b"input");
    assert_eq!(output.stderr, b"problem\n");
}

#[test]
fn megabytes_pass_all_three_pipes_at_once() {
    let input = vec![b'x'; 3 << 20];
    let output = run_script("tee /dev/stderr", &input, LONG).expect("it ends");
    assert!(output.status.success());
    assert!(output.stdout == input && output.stderr == input);
}

#[test]
fn a_child_that_reads_nothing_is_still_read() {
    let input = vec![b'x'; 3 << 20];
    let output =
        run_script("exec <&-; echo no >&2; exit 1", &input, LONG).expect("the script ends");
    assert_eq!(
        (output.status.code(), &*output.stderr),
        (Some(1), &b"no\n"[..])
    );
}

#[test]
fn a_missing_program_is_not_started() {
    let error = run(
        Command::new("/nowhere/program"),
        b"",
        LONG,
        &StopSignal::default(),
    );
    match error.expect_err("the program is missing") {
        ChildError::Start(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        error => panic!("{error}"),
    }
}

#[test]
fn a_child_is_killed_at_its_deadline() {
    let never = StopSignal::default();
    let error = check_killed("echo $$ >$FILE; sleep 1000", &never, Duration::from_secs(2));
    assert_eq!(
        error.to_string(),
        "it did not end within 2 s and was killed: run it by hand to see what it waits for"
    );
}

#[test]
fn a_child_that_ignores_sigterm_is_killed() {
    let text = "trap '' TERM INT HUP; echo $$ >$FILE; while :; do sleep 1000; done";
    let error = check_killed(text, &StopSignal::default(), Duration::from_secs(2));
    assert!(matches!(error, ChildError::TimedOut(_)), "{error}");
}

#[test]
fn a_child_that_closes_its_outputs_still_has_a_deadline() {
    let error = run_script("exec >&- 2>&-; sleep 1000", b"", SHORT).expect_err("it is killed");
    assert!(matches!(error, ChildError::TimedOut(_)), "{error}");
}

#[test]
fn a_grandchild_is_killed_with_its_parent() {
    let text = "sleep 1000 & echo $! >$FILE; wait";
    let error = check_killed(text, &StopSignal::default(), Duration::from_secs(2));
    assert!(matches!(error, ChildError::TimedOut(_)), "{error}");
}

#[test]
fn a_grandchild_with_open_outputs_causes_no_delay() {
    let output = run_script("sleep 1000 & echo $!; exit 0", b"", LONG).expect("it ends");
    assert_ended(&String::from_utf8_lossy(&output.stdout));
}

/// The grandchild left the group, so it keeps running. Its open outputs are not awaited.
#[test]
fn a_grandchild_of_another_group_causes_no_delay() {
    let output =
        run_script("setsid sleep 1000 & sleep 0.1; echo $!", b"", LONG).expect("the script ends");
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(is_running(&id));
    let killed = Command::new("kill").arg(&id).status();
    assert!(killed.expect("kill is installed").success());
}

#[test]
fn a_stop_kills_a_child() {
    let stop = StopSignal::new().expect("a pipe");
    let setter = stop.clone();
    thread::spawn(move || {
        thread::sleep(SHORT);
        setter.set();
    });
    let error = check_killed("echo $$ >$FILE; sleep 1000", &stop, LONG);
    assert!(matches!(error, ChildError::Stopped), "{error}");
    assert_eq!(
        error.to_string(),
        "it was killed because the daemon is stopping"
    );
}

#[test]
fn no_child_is_started_after_a_stop() {
    let stop = StopSignal::new().expect("a pipe");
    stop.set();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = script("echo here >$FILE");
    command.env("FILE", file.path());
    let error = run(command, b"", LONG, &stop).expect_err("the stop is set");
    assert!(matches!(error, ChildError::Stopped), "{error}");
    assert_eq!(fs::read(file.path()).expect("the file exists"), b"");
}

#[test]
fn endless_output_is_cut() {
    let error =
        run_script("exec cat /dev/zero", b"", LONG).expect_err("the output exceeds the limit");
    assert!(matches!(error, ChildError::TooMuchOutput), "{error}");
}

#[test]
fn no_child_is_left_as_a_zombie() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let killed = script("echo $$ >$FILE; exec sleep 1000");
    let ended = script("echo $$ >$FILE");
    for (mut command, is_killed) in [(killed, true), (ended, false)] {
        command.env("FILE", file.path());
        let limit = if is_killed {
            Duration::from_secs(2)
        } else {
            LONG
        };
        let outcome = run(command, b"", limit, &StopSignal::default());
        assert_eq!(outcome.is_err(), is_killed);
        let id = fs::read_to_string(file.path()).expect("the file exists");
        let process = format!("/proc/{}", id.trim());
        assert!(fs::metadata(&process).is_err(), "{process} was not reaped");
    }
}
