//! Generated pages of documentation are current.

use std::fs;
use std::path::Path;

#[test]
fn docs_are_current() {
    check("cli.md", &ipvsctl::reference::markdown());
    check("findings.md", &ipvsctl::output::findings::reference());
    for (kind, schema) in ipvsctl::schema::schemas() {
        let page = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        check(&format!("schemas/{kind}.json"), &page);
    }
}

fn check(name: &str, page: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let path = folder.join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(&path, page).expect("the page is written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "{} is outdated: run BLESS=1 cargo test -p ipvsctl docs_are_current",
        path.display()
    );
}
