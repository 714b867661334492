use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use super::{linked, page, texts};

fn package(name: &str, source: Option<&str>) -> Value {
    json!({ "id": name, "name": name, "source": source })
}

fn uses(id: &str, deps: &[(&str, Option<&str>)]) -> Value {
    let deps: Vec<Value> = deps
        .iter()
        .map(|(pkg, kind)| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] }))
        .collect();
    json!({ "id": id, "deps": deps })
}

#[test]
fn build_dependencies_are_not_linked() {
    let metadata = json!({
        "packages": [
            package("node", None),
            package("ours", None),
            package("direct", Some("registry")),
            package("indirect", Some("registry")),
            package("for-tests", Some("registry")),
            package("for-building", Some("registry")),
            package("elsewhere", Some("registry")),
        ],
        "resolve": { "nodes": [
            uses("node", &[("ours", None), ("for-tests", Some("dev")), ("for-building", Some("build"))]),
            uses("ours", &[("direct", None)]),
            uses("direct", &[("indirect", None), ("direct", None)]),
            uses("for-tests", &[("elsewhere", None)]),
        ]},
    });
    let names: Vec<&str> = linked(&metadata, &["node"])
        .into_iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    assert_eq!(names, ["direct", "indirect"]);
}

#[test]
fn finds_notices_in_a_folder() {
    let folder = tempfile::tempdir().expect("a directory");
    for (name, text) in [
        ("LICENSE-MIT", "MIT\n"),
        ("copying", "GPL"),
        ("lib.rs", "x"),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let mut found = texts(folder.path()).expect("notices");
    found.sort();
    assert_eq!(found, ["GPL", "MIT"]);
}

#[test]
fn equal_texts_occur_once() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    let texts = BTreeMap::from([
        ("MIT text".to_owned(), names(&["b 2 (MIT)", "a 1 (MIT)"])),
        ("ISC text".to_owned(), names(&["c 3 (ISC)"])),
    ]);
    let page = page(&texts);
    assert_eq!(page.matches("MIT text").count(), 1);
    assert!(
        page.contains("a 1 (MIT)\nb 2 (MIT)\n\nMIT text\n"),
        "{page}"
    );
}
