//! `ipvsctl apply` up to the point where it needs a kernel.

use crate::folder::{Folder, SHOP};

#[test]
fn apply_needs_a_terminal_or_yes() {
    let folder = Folder::new().with("shop.yaml", SHOP);
    let ran = folder.run("apply -f shop.yaml --node node1").exits(2);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "error: nothing was changed: apply needs a terminal to ask for confirmation; give --yes to \
         apply without asking\n"
    );
}

#[test]
fn apply_needs_files() {
    let ran = Folder::new().run("apply --yes").exits(2);
    assert!(ran.err.contains("--filename <PATH>"), "{}", ran.err);
}
