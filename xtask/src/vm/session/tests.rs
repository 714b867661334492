use super::*;

const LONG: Duration = Duration::from_secs(600);

fn check(lines: &[&str], ended: bool, timeout: Duration) -> std::result::Result<u8, String> {
    let (sender, events) = channel();
    for line in lines {
        sender
            .send(Event::Control((*line).to_owned()))
            .expect("open");
    }
    if ended {
        sender.send(Event::Ended).expect("open");
    }
    watch(&events, Instant::now(), timeout).map(|(status, _)| status)
}

#[test]
fn the_status_is_the_commands() {
    assert_eq!(check(&["booted", "exit 7"], true, LONG), Ok(7));
    assert_eq!(check(&["booted", "exit 0"], true, LONG), Ok(0));
    assert_eq!(check(&["booted", "exit 137"], true, LONG), Ok(137));
}

#[test]
fn an_end_without_a_status_is_a_failure() {
    let why = check(&[], true, LONG).expect_err("no boot");
    assert!(why.contains("while booting"), "{why}");
    let why = check(&["booted"], true, LONG).expect_err("no exit");
    assert!(why.contains("before the command had ended"), "{why}");
    let why = check(&["booted", "exit x"], true, LONG).expect_err("no number");
    assert!(why.contains("before the command had ended"), "{why}");
}

#[test]
fn a_hang_is_a_failure() {
    let short = Duration::from_millis(20);
    let why = check(&["booted"], false, short).expect_err("hangs");
    assert!(why.contains("was killed"), "{why}");
    let why = check(&[], false, short).expect_err("hangs");
    assert!(why.contains("did not boot"), "{why}");
}

#[test]
fn the_end_of_the_console() {
    assert_eq!(tail("a\r\nb\nc\n", 2), "  | b\n  | c");
    assert_eq!(tail("", 2), "");
}
