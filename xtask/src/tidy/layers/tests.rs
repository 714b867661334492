use serde_json::json;

use super::*;

fn check(name: &str, dependency: &Value, expected: &[&str]) {
    let members = [
        "apiserver",
        "ipvs",
        "kernel",
        "model",
        "node",
        "planner",
        "sources",
    ]
    .into();
    let package = json!({"name": name, "dependencies": [dependency]});
    assert_eq!(of_package(&package, &members), expected);
}

fn uses(name: &str) -> Value {
    json!({"name": name, "kind": null, "features": []})
}

#[test]
fn down_is_allowed() {
    check("planner", &uses("model"), &[]);
    check(
        "kernel",
        &json!({"name": "ipvs", "kind": null, "features": ["client"]}),
        &[],
    );
    check("ipvs", &uses("libc"), &[]);
}

#[test]
fn upward_and_sideways_dependencies_are_forbidden() {
    for (name, to) in [
        ("model", "planner"),
        ("planner", "kernel"),
        ("sources", "kernel"),
        ("node", "apiserver"),
    ] {
        let expected = format!("crate {name} must not use crate {to}: arrows point down only");
        check(name, &uses(to), &[&expected]);
    }
}

#[test]
fn tests_may_use_test_crates_but_no_upper_layer() {
    let dev = |name: &str| json!({"name": name, "kind": "dev", "features": []});
    check("sources", &dev("apiserver"), &[]);
    check("planner", &dev("tokio"), &[]);
    check(
        "planner",
        &dev("kernel"),
        &["crate planner must not use crate kernel: arrows point down only"],
    );
}

#[test]
fn sockets_impure_crates_and_kubernetes_are_forbidden() {
    let client = json!({"name": "ipvs", "kind": null, "features": ["client"]});
    check(
        "model",
        &client,
        &["crate model must not use the sockets of crate ipvs"],
    );
    check(
        "planner",
        &uses("tokio"),
        &["crate planner is pure and must not use tokio"],
    );
    check(
        "ipvs",
        &uses("kube"),
        &["crate ipvs knows nothing of Kubernetes and must not use kube"],
    );
}

#[test]
fn a_new_crate_needs_a_place() {
    check(
        "fresh",
        &uses("libc"),
        &["crate fresh has no place in the layers (xtask/src/tidy/layers.rs)"],
    );
}
