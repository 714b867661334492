//! The speed of this guest, by which the time limits of tests scale.
//!
//! A time limit for an idle machine is too short on a busy one. [`measure`] does what takes these
//! tests most time: it starts programs. The ratio of its time to a fixed reference stretches every
//! limit. Work that the guest still does for the previous case counts too, so limits are longer
//! than necessary then, never shorter.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Number of programs that a measurement starts.
const STARTS: u32 = 8;
/// Reference for the time to start that many programs. Five milliseconds each are at the lower end
/// for a User-Mode Linux guest, where limits are not stretched.
const IDLE: Duration = Duration::from_millis(40);
/// Largest factor, in percent. A slower guest is considered broken.
const MOST: u32 = 2000;

/// The factor in percent.
static PERCENT: AtomicU32 = AtomicU32::new(100);

/// The largest factor so far, in percent.
static SLOWEST: AtomicU32 = AtomicU32::new(100);

/// Measures the speed of this guest. Limits are stretched accordingly until the next measurement.
pub fn measure() {
    let begin = Instant::now();
    for _ in 0..STARTS {
        let _ = Command::new("true").stdin(Stdio::null()).status();
    }
    let percent = begin.elapsed().as_millis() * 100 / IDLE.as_millis();
    let percent = u32::try_from(percent).unwrap_or(MOST).clamp(100, MOST);
    PERCENT.store(percent, Ordering::Relaxed);
    SLOWEST.fetch_max(percent, Ordering::Relaxed);
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
