use super::*;

/// Checks a project of these pages and a file `src/a.rs`.
fn check_pages(pages: &[(&str, &str)], expected: &[&str]) {
    let texts: BTreeMap<String, String> = (pages.iter())
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let mut names: BTreeSet<String> = texts.keys().cloned().collect();
    names.insert("src/a.rs".to_owned());
    assert_eq!(check(&names, &texts), expected);
}

#[test]
fn links_to_files_folders_headings_and_hosts_are_right() {
    check_pages(
        &[
            (
                "README.md",
                "[a](docs/a.md#one) [b](src/a.rs) [c](src) [d](#top) [e](https://a.b/c)\n\n# Top\n",
            ),
            ("docs/SUMMARY.md", "- [A](a.md)\n"),
            (
                "docs/a.md",
                "# One\n\n[up](../README.md#top) [self](a.md)\n",
            ),
        ],
        &[],
    );
}

#[test]
fn a_link_to_nothing_is_named_with_its_line() {
    check_pages(
        &[("README.md", "# Top\n\nText [a](docs/no.md)\n")],
        &["README.md:3: the link `docs/no.md` leads to docs/no.md, which does not exist"],
    );
}

#[test]
fn a_missing_heading_is_named() {
    check_pages(
        &[("README.md", "# Top\n\n[a](#bottom)\n")],
        &["README.md:3: the link `#bottom` leads to a heading that README.md does not have"],
    );
}

#[test]
fn links_stay_in_the_project() {
    check_pages(
        &[("README.md", "[a](../a.md)\n\n[b](/README.md)\n")],
        &[
            "README.md:1: the link `../a.md` is not relative, or leaves the project",
            "README.md:3: the link `/README.md` is not relative, or leaves the project",
        ],
    );
}

#[test]
fn every_page_of_docs_is_listed_once() {
    check_pages(
        &[
            ("docs/SUMMARY.md", "- [A](a.md)\n- [A again](a.md)\n"),
            ("docs/a.md", ""),
            ("docs/b/c.md", ""),
        ],
        &[
            "docs/a.md is 2 times in docs/SUMMARY.md",
            "docs/b/c.md is missing in docs/SUMMARY.md",
        ],
    );
}
