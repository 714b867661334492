use super::*;

fn check_links(text: &str, expected: &[&str]) {
    let page = Page::parse(text);
    let targets: Vec<&str> = page.links.iter().map(|link| &*link.target).collect();
    assert_eq!(targets, expected);
}

fn check_anchors(text: &str, expected: &[&str]) {
    let page = Page::parse(text);
    let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, expected);
}

#[test]
fn finds_links_in_text_tables_html_and_definitions() {
    check_links(
        "[a](a.md) ![b](b.svg)\n\n| [c](c.md#d) | x |\n|---|---|\n| [e][e] | `x` |\n\n\
         <img src=\"f.png\">\n\n[e]: e.md\n",
        &["a.md", "b.svg", "c.md#d", "f.png", "e.md"],
    );
}

#[test]
fn ignores_code() {
    check_links("`[a](a.md)`\n\n```\n[b](b.md)\n```\n\n    [c](c.md)\n", &[]);
}

#[test]
fn anchors_have_no_punctuation() {
    check_anchors(
        "# D21: `/livez` only fails if a restart can help\n\nText\n====\n",
        &["d21-livez-only-fails-if-a-restart-can-help", "text"],
    );
}

#[test]
fn equal_headings_are_numbered() {
    check_anchors(
        "# Example\n\n## Example\n\n## Example\n",
        &["example", "example-1", "example-2"],
    );
}

#[test]
fn html_names_places() {
    check_anchors(
        "<a id=\"here\"></a>\n\nText <a name=\"there\"></a>.\n",
        &["here", "there"],
    );
}

#[test]
fn replaces_targets_and_nothing_else() {
    let replace = |target: &str| target.strip_prefix("../").map(|rest| format!("/{rest}"));
    assert_eq!(
        replace_links(
            "[../a](../a), [![../b](../b.svg)](../c) `[../d](../d)` [e](e) [f]\n\n[f]: ../f\n",
            replace,
        ),
        "[../a](/a), [![../b](/b.svg)](/c) `[../d](../d)` [e](e) [f]\n\n[f]: /f\n",
    );
}
