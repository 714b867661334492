use std::time::Duration;

use super::{Backoff, BackoffSettings};

fn backoff(seed: u64) -> Backoff {
    let settings = BackoffSettings {
        base: Duration::from_millis(100),
        max: Duration::from_secs(30),
    };
    Backoff::new(settings, seed)
}

#[test]
fn waits_double_up_to_the_limit() {
    let mut backoff = backoff(7);
    for (failures, whole) in [
        (1, 100),
        (2, 200),
        (3, 400),
        (9, 25_600),
        (10, 30_000),
        (400, 30_000),
    ] {
        let wait = backoff.wait(failures);
        let whole = Duration::from_millis(whole);
        assert!(wait <= whole && wait >= whole / 2, "{failures}: {wait:?}");
    }
}

#[test]
fn jitter_spreads_equal_failures() {
    let waits: Vec<_> = (1..=8)
        .map(|seed| backoff(seed * 1_000_003).wait(9))
        .collect();
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
}

#[test]
fn equal_seeds_give_equal_waits() {
    let wait = || backoff(42).wait(5);
    assert_eq!(wait(), wait());
}

#[test]
fn the_limit_can_be_changed() {
    let mut backoff = backoff(7);
    backoff.set_max(Duration::from_secs(2));
    assert!(backoff.wait(400) <= Duration::from_secs(2));
    backoff.set_max(Duration::from_secs(300));
    assert!(backoff.wait(400) >= Duration::from_secs(150));
    backoff.set_max(Duration::ZERO);
    assert!(backoff.wait(400) >= Duration::from_millis(50));
}
