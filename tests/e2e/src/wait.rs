//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::speed::scaled;

const STEP: Duration = Duration::from_millis(20);

/// Repeats `attempt` until it succeeds. Returns its result. The time limit is [`scaled`].
///
/// # Errors
/// The last failure, when `time` is over.
pub fn within<T>(time: Duration, mut attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    let time = scaled(time);
    let end = Instant::now() + time;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(failure) if Instant::now() >= end => {
                let seconds = time.as_secs_f64();
                return Err(Failure::new(format!("after {seconds:.1} s: {failure}")));
            }
            Err(_) => thread::sleep(STEP),
        }
    }
}

/// Repeats `attempt` for at most 15 s, which is enough on a slow machine too.
///
/// # Errors
/// The last failure.
pub fn eventually<T>(attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    within(Duration::from_secs(15), attempt)
}
