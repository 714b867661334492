use super::{Entry, Tree};

#[test]
fn parents_are_created_and_come_first() {
    let mut tree = Tree::default();
    tree.file("usr/bin/a", 0o755, "a");
    tree.link("usr-local", "usr");
    let paths: Vec<&str> = tree.entries().map(|(path, _)| path).collect();
    assert_eq!(paths, ["usr", "usr-local", "usr/bin", "usr/bin/a"]);
    assert!(tree.contains("usr/bin") && !tree.contains("usr/lib"));
}

#[test]
fn a_parent_keeps_its_mode() {
    let mut tree = Tree::default();
    tree.directory("tmp", 0o1777);
    tree.file("tmp/a", 0o644, "");
    let first = tree.entries().next();
    assert_eq!(first, Some(("tmp", &Entry::Directory { mode: 0o1777 })));
}
