//! The ClusterRole must allow exactly the code's requests to the API server.

use std::collections::BTreeSet;

use super::{Given, texts};
use crate::project::list;

/// API group of each resource that the code may name.
const GROUPS: [(&str, &str); 4] = [
    ("endpoints", ""),
    ("endpointslices", "discovery.k8s.io"),
    ("nodes", ""),
    ("services", ""),
];

/// Code that names a listed and watched resource.
const WATCHED: &str = "const PLURAL: &'static str = \"";

/// Rights for Kubernetes Events about the node and its Services. API servers show them in the old
/// group too.
const EVENTS: [(&str, &str); 2] = [("events.k8s.io", "create"), ("events.k8s.io", "patch")];

/// The only folder with requests to the API server.
const PLACE: &str = "sources/src/kube";

/// A group, a resource and a verb.
type Right = (String, String, String);

pub(super) fn check(given: &Given) -> Vec<String> {
    let (used, mut all) = used(given);
    let granted: BTreeSet<Right> = (given.of_kind("ClusterRole"))
        .flat_map(|(_, role)| list(&role["rules"]).flat_map(rights))
        .collect();
    let say = |(group, resource, verb): &Right| match group.as_str() {
        "" => format!("{verb} {resource}"),
        group => format!("{verb} {resource}.{group}"),
    };
    all.extend((used.difference(&granted)).map(|right| {
        format!(
            "manifests: the ClusterRole does not allow to {}, which the code does",
            say(right)
        )
    }));
    all.extend((granted.difference(&used)).map(|right| {
        format!(
            "manifests: the ClusterRole allows to {}, which the code does not",
            say(right)
        )
    }));
    all
}

fn rights(rule: &serde_json::Value) -> Vec<Right> {
    let mut all = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            let right = |verb: &str| (group.to_owned(), resource.to_owned(), verb.to_owned());
            all.extend(texts(&rule["verbs"]).into_iter().map(right));
        }
    }
    all
}

/// Returns the rights that the code uses, and complaints about uses that cannot be determined.
fn used(given: &Given) -> (BTreeSet<Right>, Vec<String>) {
    let mut used: BTreeSet<Right> = EVENTS
        .iter()
        .map(|(group, verb)| ((*group).to_owned(), "events".to_owned(), (*verb).to_owned()))
        .collect();
    let mut unknown = Vec::new();
    for (path, text) in &given.sources {
        for plural in text.split(WATCHED).skip(1) {
            let plural = plural.split('"').next().unwrap_or_default();
            let Some((_, group)) = GROUPS.iter().find(|(name, _)| *name == plural) else {
                unknown.push(format!(
                    "crates/{path} watches {plural}, which has no API group in xtask/src/tidy/manifests/rights.rs"
                ));
                continue;
            };
            for verb in ["list", "watch"] {
                used.insert(((*group).to_owned(), plural.to_owned(), verb.to_owned()));
            }
        }
        let asks = ["Api::<", "Api::all(", "Api::namespaced("];
        if !path.starts_with(PLACE) && asks.iter().any(|word| text.contains(word)) {
            unknown.push(format!(
                "crates/{path} asks the API server outside of crates/{PLACE}: \
                 xtask/src/tidy/manifests/rights.rs must know for what"
            ));
        }
    }
    (used, unknown)
}
