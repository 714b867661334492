use super::*;

fn check_parts(stream: &str, expected: &[(u64, &str)]) {
    let found: Vec<_> = (parts(stream).iter())
        .map(|part| (part.lines_before, part.text))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_stream_is_split_at_document_markers() {
    check_parts("a: 1\n", &[(0, "a: 1\n")]);
    check_parts(
        "---\na: 1\n---\nb: 1",
        &[(0, "---\na: 1\n"), (2, "---\nb: 1")],
    );
    check_parts(
        "a: 1\r\n---\r\nb: 1",
        &[(0, "a: 1\r\n"), (1, "---\r\nb: 1")],
    );
    check_parts("a: 1\n--- {b: 1}\n", &[(0, "a: 1\n"), (1, "--- {b: 1}\n")]);
}

#[test]
fn other_dashes_are_text() {
    check_parts("a: |\n  ---\n---x: 1\n", &[(0, "a: |\n  ---\n---x: 1\n")]);
}

#[test]
fn markers_and_comments_are_empty() {
    let empty = ["", "---\n", "---\r\n", "--- # a\n...\n \n\t# b\n"];
    let full = [
        "a",
        "--- a\n",
        "--- {}",
        "...a",
        "---#a",
        "----",
        "--- |\n\n",
        "--- !!map",
        "\u{a0}# a",
        "# a\rb",
    ];
    assert!(empty.into_iter().all(is_empty));
    assert!(!full.into_iter().any(is_empty));
}

fn check_documents(text: &str, expected: &[&str]) {
    let (values, error) = documents(text);
    assert_eq!(error, None);
    let found: Vec<_> = values.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn yaml_and_json_are_read() {
    check_documents("a: 1\nb: [x, 'y']\n", &[r#"{"a":1,"b":["x","y"]}"#]);
    check_documents("---\n# nothing\n", &[]);
    check_documents(" {\"a\": 1}\n{\"b\": 2}", &[r#"{"a":1}"#, r#"{"b":2}"#]);
    check_documents("{a: 1, b: &x [2], c: *x}", &[r#"{"a":1,"b":[2],"c":[2]}"#]);
    check_documents("a: 1\n...\n---\nb: 2\n", &[r#"{"a":1}"#, r#"{"b":2}"#]);
}

fn check_error(text: &str, line: u64, word: &str) {
    let (_, error) = documents(text);
    let error = error.expect("an error");
    assert_eq!(error.place.expect("a place").line, line, "{error:?}");
    assert!(error.what.contains(word), "{error:?}");
    assert!(!error.what.contains('\n') && !error.what.contains(" at line "));
}

#[test]
fn syntax_errors_have_places() {
    check_error("a: 1\nb: [1, 2\nc: 3\n", 3, "");
    check_error("a: 1\na: 2\n", 2, "duplicate");
    check_error("{\"a\": 1}\n{\"b\": }", 2, "expected value");
}

#[test]
fn json_before_an_error_is_read() {
    let (values, error) = documents("{\"a\": 1}\n{\"b\": }");
    assert_eq!((values.len(), error.is_some()), (1, true));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let (values, error) = documents(&text);
    assert!(values.is_empty());
    assert!(error.is_some());
}

fn check_place(text: &str, path: &[Step], expected: (u64, u64)) {
    let place = locate(text, path).expect("a place");
    assert_eq!((place.line, place.column), expected);
}

#[test]
fn values_are_found_in_their_text() {
    let text = "---\nspec:\n  ports:\n  - name: a\n    port: 1\n  - port: eighty\n";
    let key = |text: &str| Step::Key(text.to_owned());
    check_place(
        text,
        &[key("spec"), key("ports"), Step::Index(1), key("port")],
        (6, 11),
    );
    check_place(
        text,
        &[key("spec"), key("ports"), Step::Index(1), key("absent")],
        (6, 5),
    );
    check_place(
        "{\"spec\": {\"ports\": [\n {\"port\": true}]}}",
        &[key("spec"), key("ports"), Step::Index(0), key("port")],
        (2, 11),
    );
}
