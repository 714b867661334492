use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use super::Interrupt;

// A second signal would end the process, so this is the only test that sends one.
#[test]
fn a_signal_sets_the_flag_and_does_not_end_the_process() {
    let interrupt = Interrupt::listen().expect("handlers");
    assert!(!interrupt.is_set());
    kill_process(getpid(), Signal::TERM).expect("a signal");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !interrupt.is_set() {
        assert!(Instant::now() < deadline, "the signal did not arrive");
        thread::sleep(Duration::from_millis(5));
    }
}
