use serde_json::{Value, json};

use super::read;

#[test]
fn texts_of_an_answer_are_escaped() {
    let page =
        json!({"x\u{1b}": ["a\nb", {"y": "\u{1b}[2J"}], "n": 1, "t": true, "z": null}).to_string();
    let value: Value = read(&page).expect("JSON");
    let expected =
        json!({r"x\u{1b}": [r"a\nb", {"y": r"\u{1b}[2J"}], "n": 1, "t": true, "z": null});
    assert_eq!(value, expected);
}
