use std::time::{Duration, Instant};

use super::{BURST, Line, LineBudget};

const NONE: Line = Line::Write { left_out: 0 };

#[test]
fn a_flood_is_cut_and_counted() {
    let start = Instant::now();
    let mut budget = LineBudget::new(start);
    for _ in 1..BURST {
        assert_eq!(budget.line(start), NONE);
    }
    assert_eq!(budget.line(start), Line::Last { left_out: 0 });
    for _ in 0..5_000 {
        assert_eq!(budget.line(start), Line::LeaveOut);
    }
    let later = start + Duration::from_secs(1);
    assert_eq!(budget.line(later), Line::Write { left_out: 5_000 });
    assert_eq!(budget.line(later), Line::LeaveOut);
}

#[test]
fn a_lasting_flood_logs_one_line_per_second() {
    let start = Instant::now();
    let mut budget = LineBudget::new(start);
    let written = (0..600_000)
        .filter(|number| {
            let now = start + Duration::from_millis(number / 10);
            budget.line(now) != Line::LeaveOut
        })
        .count();
    assert_eq!(written, usize::try_from(BURST).unwrap() + 59);
}

#[test]
fn a_pause_refills_at_most_one_burst() {
    let start = Instant::now();
    let mut budget = LineBudget::new(start);
    let lines = |budget: &mut LineBudget, now| {
        (0..3 * BURST)
            .filter(|_| budget.line(now) != Line::LeaveOut)
            .count()
    };
    let burst = usize::try_from(BURST).unwrap();
    assert_eq!(lines(&mut budget, start), burst);
    let day = start + Duration::from_hours(24);
    assert_eq!(lines(&mut budget, day), burst);
}
