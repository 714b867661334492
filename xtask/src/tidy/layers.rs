//! Dependencies between crates must point down only.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

use super::SourceFile;
use crate::project::{Project, list};

/// A crate of `crates/` and the crates of the workspace that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("netlink", &[]),
    ("ipvs", &["netlink"]),
    ("ipset", &["netlink"]),
    ("model", &["ipvs", "ipset"]),
    ("planner", &["model", "ipvs", "ipset"]),
    ("trace", &["model", "ipvs", "ipset"]),
    ("reconciler", &["model", "planner", "ipvs", "ipset"]),
    ("kernel", &["model", "ipvs", "ipset", "netlink"]),
    ("sources", &["model", "ipvs", "ipset"]),
    (
        "node",
        &[
            "model",
            "planner",
            "reconciler",
            "kernel",
            "sources",
            "ipvs",
            "ipset",
        ],
    ),
    (
        "ipvsctl",
        &[
            "model", "planner", "trace", "kernel", "sources", "ipvs", "ipset",
        ],
    ),
];

/// Crates that may open the sockets of `ipvs` and `ipset`.
const SOCKETS: &[&str] = &["kernel"];

/// Pure crates, and libraries that would give them a clock, a socket, a file or types of
/// Kubernetes.
const PURE: &[&str] = &["model", "planner", "trace", "reconciler"];
const WORLDLY: &[&str] = &[
    "futures",
    "inotify",
    "k8s-openapi",
    "kube",
    "libc",
    "netlink-sys",
    "rustix",
    "tokio",
    "tracing",
];

/// Crates that only the tests of another crate may use.
const FOR_TESTS: &[(&str, &str)] = &[("reconciler", "kernel")];

/// Calls that would give a pure crate a clock, a file, a process or a thread.
const IMPURE_CALLS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
];

/// Libraries that must not depend on Kubernetes.
const GENERAL: &[&str] = &["netlink", "ipvs", "ipset"];
const KUBERNETES: &[&str] = &["kube", "k8s-openapi"];

/// Returns a complaint for every forbidden dependency and call.
pub(crate) fn complaints(project: &Project, files: &[SourceFile]) -> Vec<String> {
    let packages: Vec<&Value> = project.packages().collect();
    let members: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    packages
        .iter()
        .filter(|package| is_layer(project, package))
        .flat_map(|package| of_package(package, &members))
        .chain(files.iter().flat_map(impure_calls))
        .collect()
}

/// Returns calls in a pure crate that depend on the environment. Tests may make them.
fn impure_calls(file: &SourceFile) -> Vec<String> {
    let path = file.name.strip_prefix("crates/");
    let Some((name, path)) = path.and_then(|path| path.split_once("/src/")) else {
        return Vec::new();
    };
    let is_test = (path.split('/')).any(|part| matches!(part, "tests" | "tests.rs" | "testing.rs"));
    if is_test || !PURE.contains(&name) {
        return Vec::new();
    }
    let calls = IMPURE_CALLS.iter().filter(|call| file.text.contains(*call));
    let complaint = |call| {
        format!(
            "{}: crate {name} is pure and must not use {call}",
            file.name
        )
    };
    calls.map(complaint).collect()
}

/// Returns true for the crates in `crates/`. Tests and tools may use everything.
fn is_layer(project: &Project, package: &Value) -> bool {
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    Path::new(manifest).starts_with(project.root.join("crates"))
}

fn of_package(package: &Value, members: &BTreeSet<&str>) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![format!(
            "crate {name} has no place in the layers (xtask/src/tidy/layers.rs)"
        )];
    };
    let dependencies = list(&package["dependencies"]);
    let mut all = Vec::new();
    for dependency in dependencies {
        let to = dependency["name"].as_str().unwrap_or_default();
        let for_tests = dependency["kind"] == "dev";
        let layer = LAYERS.iter().any(|(layer, _)| *layer == to)
            && !(for_tests && FOR_TESTS.contains(&(name, to)));
        if members.contains(to) && (layer || !for_tests) && to != name && !allowed.contains(&to) {
            all.push(format!(
                "crate {name} must not use crate {to}: arrows point down only"
            ));
        }
        if for_tests {
            continue;
        }
        let features = list(&dependency["features"]);
        if members.contains(to)
            && !SOCKETS.contains(&name)
            && features.clone().any(|f| f == "client")
        {
            all.push(format!(
                "crate {name} must not use the sockets of crate {to}"
            ));
        }
        if PURE.contains(&name) && WORLDLY.contains(&to) {
            all.push(format!("crate {name} is pure and must not use {to}"));
        }
        if GENERAL.contains(&name) && KUBERNETES.contains(&to) {
            all.push(format!(
                "crate {name} knows nothing of Kubernetes and must not use {to}"
            ));
        }
    }
    all
}
