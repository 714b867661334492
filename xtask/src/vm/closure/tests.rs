use super::*;

#[test]
fn ldd_of_several_programs() {
    let text = "\
/usr/sbin/ipvsadm:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibpopt.so.0 => /lib/x86_64-linux-gnu/libpopt.so.0 (0x00007f2a)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2b)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2c)
/bin/busybox:
\tnot a dynamic executable
/usr/sbin/broken:
\tlibgone.so.1 => not found
";
    let found: Vec<_> = parse_ldd(text).into_iter().collect();
    assert_eq!(
        found,
        [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/x86_64-linux-gnu/libpopt.so.0",
            "/lib64/ld-linux-x86-64.so.2",
        ]
        .map(PathBuf::from)
    );
}

#[test]
fn the_test_program_itself_needs_a_loader_and_libc() {
    let me = std::env::current_exe().expect("a path");
    let found = libraries(&[me]).expect("ldd");
    let has = |part: &str| {
        found
            .iter()
            .any(|path| path.display().to_string().contains(part))
    };
    assert!(has("libc.so.6") && has("ld-linux"), "{found:?}");
}

#[test]
fn places_in_the_guest() {
    let check = |host: &str, guest: Option<&str>| {
        assert_eq!(
            guest_path(Path::new(host)),
            guest.map(PathBuf::from),
            "{host}"
        );
    };
    check("/sbin/ipvsadm", Some("usr/sbin/ipvsadm"));
    check("/usr/sbin/ipvsadm", Some("usr/sbin/ipvsadm"));
    check(
        "/lib64/ld-linux-x86-64.so.2",
        Some("usr/lib64/ld-linux-x86-64.so.2"),
    );
    check("/etc/iproute2/rt_tables", Some("etc/iproute2/rt_tables"));
    check("/usr/share/doc/ipvsadm/copyright", None);
    check("/lib/systemd/system/ipvsadm.service", None);
    check("/var/lib/x", None);
    check("/.", None);
}
