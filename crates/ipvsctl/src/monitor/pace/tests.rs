use super::*;

/// Returns the pauses in milliseconds after readings that took `took` milliseconds, at intervals of
/// a second.
fn pauses(took: u64, quiet: &[bool]) -> Vec<(u128, u128)> {
    let mut pace = Pace::new(Duration::from_secs(1));
    let pause = |is_quiet: &bool| {
        let Pause { least, most } = pace.pause(Duration::from_millis(took), *is_quiet);
        (least.as_millis(), most.as_millis())
    };
    quiet.iter().map(pause).collect()
}

#[test]
fn short_readings_are_an_interval_apart() {
    assert_eq!(pauses(20, &[true; 5]), [(980, 980); 5]);
}

#[test]
fn pauses_grow_while_nothing_changes() {
    let grown = [(800, 1600), (800, 3200), (800, 6400), (800, 6400)];
    assert_eq!(pauses(200, &[true; 4]), grown);
    let again = [(800, 1600), (800, 3200), (800, 800), (800, 1600)];
    assert_eq!(pauses(200, &[true, true, false, true]), again);
}

#[test]
fn pauses_are_bounded_by_the_interval() {
    let bounded = [(4000, 8000), (4000, 10_000), (4000, 10_000)];
    assert_eq!(pauses(1000, &[true; 3]), bounded);
    // Not below a fifth of a processor.
    assert_eq!(pauses(5000, &[true; 2]), [(20_000, 20_000); 2]);
}

#[test]
fn a_pause_ends_early_at_a_sign_of_a_change() {
    let hour = Duration::from_secs(3600);
    let pause = Pause {
        least: Duration::from_millis(1),
        most: hour,
    };
    let (interval, interrupt) = (Duration::from_millis(1), Interrupt::default());
    let mut asked = 0;
    let is_changed = || {
        asked += 1;
        asked == 3
    };
    assert!(pause.wait(interval, None, &interrupt, is_changed));
    assert_eq!(asked, 3);
    // Nothing is asked before the minimum and after the maximum.
    let short = Pause {
        most: pause.least,
        ..pause
    };
    let never = || panic!("asked");
    assert!(short.wait(hour, None, &interrupt, never));
    let long = Pause {
        least: hour,
        ..pause
    };
    assert!(!long.wait(interval, Some(Instant::now()), &interrupt, never));
    interrupt.set();
    assert!(!long.wait(interval, None, &interrupt, never));
}
