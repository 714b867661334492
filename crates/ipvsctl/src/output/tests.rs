use super::printable;
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
