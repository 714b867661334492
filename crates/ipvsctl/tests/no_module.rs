//! Tests of the built program on a kernel without IPVS, run by `cargo xtask vm --without-module
//! ip_vs`.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn error_names_the_missing_module_and_render_works() {
    let program = match std::env::var_os("VM_BIN") {
        Some(folder) => PathBuf::from(folder).join("ipvsctl"),
        None => PathBuf::from(env!("CARGO_BIN_EXE_ipvsctl")),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(
        folder.path().join("shop.yaml"),
        include_str!("data/shop.yaml"),
    )
    .expect("a file is written");
    let run = |args: &str| {
        let output = Command::new(&program)
            .args(args.split_ascii_whitespace())
            .current_dir(folder.path())
            .output()
            .expect("ipvsctl runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    for args in [
        "get servers",
        "diff -f shop.yaml --node node1",
        "apply -f shop.yaml --node node1 --yes",
    ] {
        let (status, out, err) = run(args);
        assert_eq!(
            status,
            Some(2),
            "run this by `cargo xtask vm --without-module ip_vs`: {out}{err}"
        );
        assert_eq!(out, "");
        assert!(
            err.starts_with(
                "error: the kernel has no IPVS: load its module (modprobe ip_vs); where there is \
                 none, install"
            ),
            "{err}"
        );
        assert_eq!(
            err.contains("modprobe ip_vs failed: "),
            args.starts_with("apply"),
            "{err}"
        );
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    let (status, out, err) =
        run("render --section ipvs --section addresses -f shop.yaml --node node1");
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(out, include_str!("data/shop.txt"));
    let (status, out, err) = run("doctor -o wide");
    assert_eq!((status, err.as_str()), (Some(1), ""), "{out}");
    let problem = "problem  ipvs: the kernel has no IPVS, or the module ip_vs is not loaded\n         users see: ";
    assert!(out.starts_with(problem), "{out}");
    assert!(out.contains("\nok       leftovers: "), "{out}");
    let (_, out, _) = run("version");
    assert!(out.contains("IPVS     unknown"), "{out}");
}
