use proptest::prelude::*;

use super::{SafeText, escaped};

fn check(text: &str, expected: &str) {
    assert_eq!(&*SafeText::new(text), expected);
}

#[test]
fn text_that_prints_stays_as_it_is() {
    check("", "");
    check("10.96.0.300", "10.96.0.300");
    check(r#"Größe "1" 'x' \n 漢字 🙂"#, r#"Größe "1" 'x' \n 漢字 🙂"#);
}

#[test]
fn characters_that_do_not_print_are_escaped() {
    check("a\nb\r\tc", r"a\nb\r\tc");
    check("\u{1b}]0;title\u{7}\u{7f}", r"\u{1b}]0;title\u{7}\u{7f}");
    check("\u{9b}2J\u{85}", r"\u{9b}2J\u{85}");
    check("\u{2028}\u{2029}", r"\u{2028}\u{2029}");
    check("\u{202e}\u{2066}\u{200f}", r"\u{202e}\u{2066}\u{200f}");
    check("\u{200b}\u{feff}", r"\u{200b}\u{feff}");
}

#[test]
fn long_text_is_cut_and_no_escape_is_cut_in_two() {
    let longest = "x".repeat(SafeText::MAX - 1);
    check(&longest, &longest);
    let cut = format!("{longest}…");
    check(&"x".repeat(SafeText::MAX), &cut);
    check(&"x".repeat(250_000), &cut);
    check(
        &format!("{}\n", "x".repeat(SafeText::MAX - 2)),
        &format!("{}…", "x".repeat(SafeText::MAX - 2)),
    );
}

proptest! {
    #[test]
    fn safe_text_prints_has_a_limit_and_stays_as_it_is(text in prop::collection::vec(any::<char>(), 0..300)) {
        let text: String = text.into_iter().collect();
        let safe = SafeText::new(&text);
        prop_assert!(safe.chars().count() <= SafeText::MAX);
        prop_assert!(!safe.chars().any(char::is_control), "{:?}", safe);
        let hidden = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'];
        let overrides = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
        prop_assert!(!safe.contains(hidden), "{:?}", safe);
        prop_assert!(!safe.chars().any(|c| overrides.iter().any(|range| range.contains(&c))), "{:?}", safe);
        prop_assert_eq!(SafeText::new(&safe), safe.clone());
        let line = escaped(&text);
        prop_assert!(line.starts_with(safe.trim_end_matches('…')));
        prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
    }
}
