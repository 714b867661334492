//! Waiting for what comes to be.

use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::speed::scaled;

const STEP: Duration = Duration::from_millis(20);

/// Tries until `attempt` succeeds and returns its value. The time is [`scaled`].
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

/// [`within`] a time that is long for everything that should come soon, on a slow machine too.
///
/// # Errors
/// The last failure.
pub fn eventually<T>(attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    within(Duration::from_secs(15), attempt)
}
