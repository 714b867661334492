use proptest::prelude::*;

use super::{SafeText, escaped, escaped_json};

fn check(text: &str, expected: &str) {
    assert_eq!(&*SafeText::new(text), expected);
}

#[test]
fn printable_text_stays_unchanged() {
    check("", "");
    check("10.96.0.300", "10.96.0.300");
    check(r#"Größe "1" 'x' \n 漢字 🙂"#, r#"Größe "1" 'x' \n 漢字 🙂"#);
}

#[test]
fn unprintable_characters_are_escaped() {
    check("a\nb\r\tc", r"a\nb\r\tc");
    check("\u{1b}]0;title\u{7}\u{7f}", r"\u{1b}]0;title\u{7}\u{7f}");
    check("\u{9b}2J\u{85}", r"\u{9b}2J\u{85}");
    check("\u{2028}\u{2029}", r"\u{2028}\u{2029}");
    check("\u{202e}\u{2066}\u{200f}", r"\u{202e}\u{2066}\u{200f}");
    check("\u{200b}\u{feff}", r"\u{200b}\u{feff}");
}

#[test]
fn long_text_is_cut_between_escapes() {
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

/// Characters of general category Cf in Unicode 16, and the separators of lines and paragraphs.
const FORMATS: [(u32, u32); 20] = [
    (0xad, 0xad),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x180e, 0x180e),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x1_10bd, 0x1_10bd),
    (0x1_10cd, 0x1_10cd),
    (0x1_3430, 0x1_343f),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0001, 0xe_0001),
    (0xe_0020, 0xe_007f),
];

#[test]
fn control_and_format_characters_are_escaped() {
    let is_format = |character: char| {
        let number = u32::from(character);
        (FORMATS.iter()).any(|(first, last)| (*first..=*last).contains(&number))
    };
    for character in '\0'..=char::MAX {
        if character.is_control() || is_format(character) {
            let text = String::from(character);
            assert!(!escaped(&text).contains(character), "{character:?}");
            let spaced = character.is_ascii_whitespace();
            assert_eq!(
                escaped_json(text).contains(character),
                spaced,
                "{character:?}"
            );
        }
    }
}

#[test]
fn escaped_json_is_the_same_json() {
    let value = serde_json::json!({"a\u{202e}": ["\n\u{7f}\u{9b}\u{e0001}ö", 1, null]});
    let text = serde_json::to_string_pretty(&value).expect("JSON");
    let safe = escaped_json(text.clone());
    assert_ne!(safe, text);
    assert!(
        safe.contains(r"a\u202e") && safe.contains(r"\n\u007f\u009b\udb40\udc01ö"),
        "{safe}"
    );
    let read: serde_json::Value = serde_json::from_str(&safe).expect("JSON");
    assert_eq!(read, value);
}

proptest! {
    #[test]
    fn safe_text_is_printable_limited_and_stable(text in prop::collection::vec(any::<char>(), 0..300)) {
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
