use serde_json::json;

use super::*;

fn package() -> Value {
    json!({
        "name": "kernel",
        "manifest_path": "/p/crates/kernel/Cargo.toml",
        "targets": [
            {"name": "kernel", "kind": ["lib"]},
            {"name": "contract", "kind": ["test"], "required-features": ["vm"]},
            {"name": "plain", "kind": ["test"]},
            {"name": "slow", "kind": ["test"], "required-features": ["slow"]},
            {"name": "show", "kind": ["example"], "required-features": ["vm"]},
        ],
    })
}

fn artifact(target: &str, kind: &str, executable: Option<&str>) -> Value {
    json!({
        "manifest_path": "/p/crates/kernel/Cargo.toml",
        "target": {"name": target, "kind": [kind]},
        "profile": {"test": kind == "test"},
        "executable": executable,
    })
}

fn the_wanted(package: &Value) -> Result<Vec<Wanted>> {
    wanted([package].into_iter())
}

#[test]
fn only_tests_that_require_the_feature() {
    let found = the_wanted(&package()).expect("valid");
    assert_eq!(
        found,
        [Wanted {
            manifest: "/p/crates/kernel/Cargo.toml".into(),
            package: "kernel".into(),
            target: "contract".into(),
            needs: Needs::default(),
        }]
    );
}

#[test]
fn a_special_vm_is_asked_for_in_the_manifest() {
    let mut package = package();
    package["metadata"] = json!({"vm": {"contract": {
        "without-modules": ["ip-vs"], "memory-mib": 2048, "timeout-seconds": 900,
        "image": true, "shards": 3, "packages": ["tmux"],
    }}});
    assert_eq!(
        the_wanted(&package).expect("valid")[0].needs,
        Needs {
            without_modules: vec!["ip_vs".into()],
            packages: vec!["tmux".into()],
            memory_mib: Some(2048),
            timeout_seconds: Some(900),
            image: true,
            shards: Some(3),
        }
    );
    for wrong in [
        json!({"without-module": []}),
        json!({"shards": 0}),
        json!({"packages": [1]}),
    ] {
        package["metadata"] = json!({"vm": {"contract": wrong}});
        let error = the_wanted(&package).expect_err("a wrong key or value");
        let message = error.to_string();
        assert!(message.contains("metadata.vm.contract."), "{message}");
    }
}

#[test]
fn their_programs_are_picked() {
    let artifacts = [
        artifact("contract", "lib", Some("/t/wrong")),
        artifact("contract", "test", Some("/t/contract-1")),
        artifact("plain", "test", Some("/t/plain-1")),
    ];
    let tests = pick(the_wanted(&package()).expect("valid"), &artifacts).expect("all there");
    assert_eq!(
        tests.into_iter().collect::<Vec<_>>(),
        [VmTest {
            package: "kernel".into(),
            target: "contract".into(),
            directory: "/p/crates/kernel".into(),
            executable: "/t/contract-1".into(),
            needs: Needs::default(),
        }]
    );
}

#[test]
fn a_program_that_was_not_built_is_an_error() {
    let wanted = the_wanted(&package()).expect("valid");
    let error = pick(wanted, &[]).expect_err("missing");
    assert!(error.to_string().contains("contract of kernel"), "{error}");
}

#[test]
fn programs_for_the_guest() {
    let artifacts = [
        artifact("kube-ipvsd", "bin", Some("/t/kube-ipvsd")),
        artifact("xtask", "bin", Some("/t/xtask")),
        artifact("node", "lib", None),
        {
            let mut own_tests = artifact("kube-ipvsd", "bin", Some("/t/kube-ipvsd-1"));
            own_tests["profile"]["test"] = json!(true);
            own_tests
        },
        {
            let mut benchmark = artifact("bench", "bin", Some("/t/bench"));
            benchmark["manifest_path"] = json!("/p/tests/bench/Cargo.toml");
            benchmark
        },
    ];
    let found: Vec<_> = programs_of(&artifacts).into_iter().collect();
    assert_eq!(found, [PathBuf::from("/t/kube-ipvsd")]);
}

#[test]
fn host_tests_are_those_without_features() {
    let found = host_tests([&package()].into_iter()).expect("no name twice");
    assert!(found.iter().eq(["plain"]));
    let mut other = package();
    other["targets"] = json!([{"name": "contract", "kind": ["test"]}]);
    let error = host_tests([&package(), &other].into_iter()).expect_err("a name twice");
    assert!(error.to_string().contains("named contract"), "{error}");
}
