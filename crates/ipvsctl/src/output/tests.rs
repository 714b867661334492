use super::printable;
use crate::style::{DELETE, ERROR};

#[test]
fn lines_and_our_own_styles_stay_and_all_else_is_escaped() {
    let styled = format!("{ERROR}error:{ERROR:#} a\n{DELETE}-{DELETE:#} ö\n");
    assert_eq!(printable(&styled), styled);
    assert_eq!(
        printable("\u{1b}[8mhidden\u{1b}]0;title\u{7}\r\t\u{202e}\n\u{1b}"),
        "\\u{1b}[8mhidden\\u{1b}]0;title\\u{7}\\r\\t\\u{202e}\n\\u{1b}"
    );
}
