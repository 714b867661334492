use super::*;

fn check(page: &str, target: &str, expected: Option<&str>) {
    let names = ["README.md", "docs/README.md", "docs/a.md", "docs/b/c.md"];
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(site_link(&names, page, target).as_deref(), expected);
}

#[test]
fn links_between_pages_stay() {
    check("docs/a.md", "b/c.md#x", None);
    check("docs/b/c.md", "../a.md", None);
    check("docs/a.md", "#x", None);
    check("docs/a.md", "https://a.b/", None);
}

#[test]
fn links_out_of_docs_lead_to_the_repository() {
    let file = format!("{FILE}README.md#x");
    check("docs/b/c.md", "../../README.md#x", Some(&file));
    check("docs/a.md", "../src", Some(&format!("{FOLDER}src")));
}

#[test]
fn the_readme_is_the_index() {
    check("docs/b/c.md", "../README.md#x", Some("../index.md#x"));
    assert_eq!(html_of("README.md"), "index.html");
    assert_eq!(html_of("b/README.md"), "b/index.html");
    assert_eq!(html_of("b/c.md"), "b/c.html");
}
