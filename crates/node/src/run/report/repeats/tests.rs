use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lasting_error_is_logged_every_few_minutes_with_its_count() {
    let (mut repeats, start) = (Repeats::default(), Instant::now());
    assert_eq!(repeats.see("no rules", start), Seen::First);
    for second in 1..300 {
        assert_eq!(
            repeats.see("no rules", start + second * SECOND),
            Seen::Known
        );
    }
    let seen = repeats.see("no rules", start + REMIND);
    assert_eq!(seen, Seen::Due { times: 300 });
    let seen = repeats.see("no rules", start + REMIND + SECOND);
    assert_eq!(seen, Seen::Known);
}

#[test]
fn another_error_is_logged_at_once() {
    let (mut repeats, start) = (Repeats::default(), Instant::now());
    assert_eq!(repeats.see("no rules", start), Seen::First);
    assert_eq!(repeats.see("no sets", start), Seen::First);
}

#[test]
fn an_error_that_returns_after_a_while_is_new() {
    let (mut repeats, start) = (Repeats::default(), Instant::now());
    assert_eq!(repeats.see("no rules", start), Seen::First);
    assert_eq!(repeats.see("no rules", start + FORGET), Seen::First);
}

#[test]
fn the_table_is_limited_and_drops_old_errors() {
    let (mut repeats, start) = (Repeats::default(), Instant::now());
    for number in 0..LIMIT {
        assert_eq!(repeats.see(&number.to_string(), start), Seen::First);
    }
    assert_eq!(repeats.see("one more", start), Seen::Known);
    assert_eq!(repeats.errors.len(), LIMIT);
    assert_eq!(repeats.see("one more", start + FORGET), Seen::First);
    assert_eq!(repeats.errors.len(), 1);
}
