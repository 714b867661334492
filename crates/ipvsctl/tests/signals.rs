//! Signals to a process that never looks at its [`Interrupt`], as one whose reading or output hangs.
//!
//! The test starts its own program again as that process.

use std::io::{BufRead as _, BufReader, Lines, Write as _, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;

use ipvsctl::interrupt::{ENDED_AT_ONCE, Interrupt};
use rustix::process::{Pid, Signal, kill_process};

/// Argument of the process whose actions end.
const PRINTS: &str = "--prints";

/// Argument of the process whose action after the second signal never ends.
const HANGS: &str = "--hangs";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some(PRINTS) => stuck(|| print("second")),
        Some(HANGS) => stuck(|| {
            loop {
                thread::park();
            }
        }),
        // Other arguments are those of the test harness.
        _ => {
            a_second_signal_ends_a_stuck_process();
            an_action_that_hangs_does_not_prevent_the_end();
            println!("signals: ok");
        }
    }
}

/// Waits without end, and prints each signal. Ends with status 0 if the test is gone.
fn stuck(second: impl FnOnce() + Send + 'static) {
    let _interrupt = Interrupt::install(|| print("first"), second).expect("handlers");
    print("ready");
    let _ = stdin().lines().next();
}

fn print(line: &str) {
    println!("{line}");
    stdout().flush().expect("the output is read");
}

/// A process that is [`stuck`].
struct Stuck {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _input: ChildStdin,
}

impl Stuck {
    fn start(argument: &str) -> Self {
        let program = std::env::current_exe().expect("the program of the test");
        let mut child = Command::new(program)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts again");
        let output = child.stdout.take().expect("its output");
        let mut stuck = Self {
            _input: child.stdin.take().expect("its input"),
            lines: BufReader::new(output).lines(),
            child,
        };
        assert_eq!(stuck.line().as_deref(), Some("ready"));
        stuck
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Returns its next line; `None` at its end.
    fn line(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.expect("text"))
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

fn a_second_signal_ends_a_stuck_process() {
    for (one, other) in [
        (Signal::INT, Signal::INT),
        (Signal::TERM, Signal::INT),
        (Signal::HUP, Signal::TERM),
    ] {
        let mut stuck = Stuck::start(PRINTS);
        stuck.signal(one);
        assert_eq!(stuck.line().as_deref(), Some("first"), "{one:?}");
        stuck.signal(other);
        assert_eq!(stuck.line().as_deref(), Some("second"), "{other:?}");
        assert_eq!(stuck.line(), None);
        assert_eq!(stuck.end().code(), Some(ENDED_AT_ONCE));
    }
}

fn an_action_that_hangs_does_not_prevent_the_end() {
    let mut stuck = Stuck::start(HANGS);
    stuck.signal(Signal::INT);
    assert_eq!(stuck.line().as_deref(), Some("first"));
    stuck.signal(Signal::INT);
    assert_eq!(stuck.line(), None);
    assert_eq!(stuck.end().code(), Some(ENDED_AT_ONCE));
}
