use super::split;

#[test]
fn installed_removed_and_unknown_packages() {
    let answer = "ipset\tinstalled\t7.17-1\nkmod\tconfig-files\t30-1\n";
    let (versions, missing) = split(&["ipset", "kmod", "ipvsadm"], answer);
    assert_eq!(
        versions.into_iter().collect::<Vec<_>>(),
        [("ipset".to_owned(), "7.17-1".to_owned())]
    );
    assert_eq!(missing, ["kmod", "ipvsadm"]);
}

#[test]
fn nothing_known() {
    let (versions, missing) = split(&["a"], "");
    assert!(versions.is_empty());
    assert_eq!(missing, ["a"]);
}
