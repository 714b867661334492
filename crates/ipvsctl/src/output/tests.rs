use super::{at_port, printable};
use crate::style::{DELETE, ERROR};

#[test]
fn only_line_ends_and_our_styles_are_not_escaped() {
    let styled = format!("{ERROR}error:{ERROR:#} a\n{DELETE}-{DELETE:#} ö\n");
    assert_eq!(printable(&styled), styled);
    assert_eq!(
        printable("\u{1b}[8mhidden\u{1b}]0;title\u{7}\r\t\u{202e}\n\u{1b}"),
        "\\u{1b}[8mhidden\\u{1b}]0;title\\u{7}\\r\\t\\u{202e}\n\\u{1b}"
    );
}

#[test]
fn an_ipv6_address_with_a_port_has_brackets() {
    assert_eq!(at_port("10.96.0.10", 80), "10.96.0.10:80");
    assert_eq!(at_port("fd00::10", 80), "[fd00::10]:80");
}
