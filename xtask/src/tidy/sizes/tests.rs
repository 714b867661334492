use super::*;

#[test]
fn the_limit_is_allowed() {
    assert_eq!(complaint("a.rs", &"x\n".repeat(LIMIT)), None);
    assert_eq!(complaint("a.rs", ""), None);
}

#[test]
fn one_more_is_not() {
    let mut text = "x\n".repeat(LIMIT);
    text.push('x');
    assert_eq!(
        complaint("a.rs", &text).as_deref(),
        Some("a.rs has 601 lines, more than 600: split it")
    );
}
