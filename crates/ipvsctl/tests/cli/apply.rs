//! `ipvsctl apply` as far as it goes without a kernel.

use crate::desk::{Desk, SHOP};

#[test]
fn nothing_is_changed_where_nobody_can_be_asked() {
    let desk = Desk::new().with("shop.yaml", SHOP);
    let ran = desk.run("apply -f shop.yaml --node node1").exits(2);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "error: nothing was changed: there is no terminal on which to ask; give --yes to apply \
         without a question\n"
    );
}

#[test]
fn files_are_needed() {
    let ran = Desk::new().run("apply --yes").exits(2);
    assert!(ran.err.contains("--filename <PATH>"), "{}", ran.err);
}
