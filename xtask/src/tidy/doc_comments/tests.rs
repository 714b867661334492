use super::*;

fn check(lines: &[&str], expected: &[&str]) {
    assert_eq!(complaints_in("a.rs", &lines.join("\n")), expected);
}

#[test]
fn finds_openings_without_a_subject_in_each_paragraph() {
    check(
        &[
            "//! Whether it works.",
            "",
            "/// Returns it.",
            "///",
            "/// What is wrong with it.",
            "fn f() {}",
            "    /// Somebody's lock.",
        ],
        &[
            "a.rs:1: a doc comment begins with `Whether`: name the subject",
            "a.rs:5: a doc comment begins with `What`: name the subject",
            "a.rs:7: a doc comment begins with `Somebody`: name the subject",
        ],
    );
}

#[test]
fn ignores_plain_comments_and_later_lines() {
    check(
        &[
            "/// Returns the reason, and tells",
            "/// What of which.",
            "fn f() {}",
            "// None of these matters.",
            "/// Whatever happens.",
        ],
        &[],
    );
}
