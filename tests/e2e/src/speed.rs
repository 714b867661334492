//! The speed of this guest, by which the time limits of tests scale.
//!
//! A time limit for an idle machine is too short on a busy one. [`measure`] does what takes these
//! tests most time: it starts programs. The ratio of its time to a fixed reference stretches every
//! limit. The best of several rounds counts, because in the first ones the guest may still be
//! removing the namespaces of the previous case.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Largest number of rounds of a measurement. An idle guest needs one.
const ROUNDS: u32 = 6;
/// Number of programs that a round starts.
const STARTS: u32 = 4;
/// Reference for the time to start that many programs: 12 ms each, measured in User-Mode Linux
/// guests on an idle machine with two processors.
const IDLE: Duration = Duration::from_millis(48);
/// Largest factor, in percent. A slower guest is considered broken.
const MOST: u32 = 2000;

/// The factor in percent.
static PERCENT: AtomicU32 = AtomicU32::new(100);

/// The largest factor so far, in percent.
static SLOWEST: AtomicU32 = AtomicU32::new(100);

/// Measures the speed of this guest. Limits are stretched accordingly until the next measurement.
pub fn measure() {
    let mut least = MOST;
    for _ in 0..ROUNDS {
        least = least.min(round());
        if least == 100 {
            break;
        }
    }
    PERCENT.store(least, Ordering::Relaxed);
    SLOWEST.fetch_max(least, Ordering::Relaxed);
}

/// Returns the ratio of the time of one round to the reference, in percent.
fn round() -> u32 {
    let begin = Instant::now();
    for _ in 0..STARTS {
        let _ = Command::new("true").stdin(Stdio::null()).status();
    }
    let percent = begin.elapsed().as_millis() * 100 / IDLE.as_millis();
    u32::try_from(percent).unwrap_or(MOST).clamp(100, MOST)
}

/// Returns the largest factor of all measurements, in percent.
#[must_use]
pub fn slowest() -> u32 {
    SLOWEST.load(Ordering::Relaxed)
}

/// Returns the time limit, stretched for the speed of this guest.
#[must_use]
pub fn scaled(limit: Duration) -> Duration {
    limit * PERCENT.load(Ordering::Relaxed) / 100
}
