//! Every file that a kustomization names must exist, and a kustomization must name every file.

use serde_json::Value;
use std::collections::BTreeSet;

use super::{Given, texts};
use crate::project::list;

const NAME: &str = "kustomization.yaml";

/// Beginnings of the paths of files that no kustomization names: for other programs and for people.
const OTHERS: [&str; 5] = [
    "README.md",
    "components/canary/kube-proxy",
    "helm/",
    "systemd/",
    "tests/",
];

pub(super) fn check(given: &Given) -> Vec<String> {
    let mut named = BTreeSet::new();
    let mut all = Vec::new();
    for (path, document) in given.all() {
        let Some(folder) = path.strip_suffix(NAME) else {
            continue;
        };
        for name in names(document) {
            match target(given, folder, name) {
                Some(target) => {
                    named.insert(target);
                }
                None => all.push(format!("manifests/{path} names {name}, which is not there")),
            }
        }
    }
    let lost = (given.files.keys())
        .filter(|path| !path.ends_with(NAME) && !OTHERS.iter().any(|other| path.starts_with(other)))
        .filter(|path| !named.contains(*path));
    all.extend(lost.map(|path| format!("manifests/{path} is named by no kustomization")));
    all
}

/// Returns the files and folders that a kustomization names.
fn names(document: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    for key in ["resources", "components"] {
        names.extend(texts(&document[key]));
    }
    names.extend(list(&document["patches"]).filter_map(|patch| patch["path"].as_str()));
    for generator in list(&document["configMapGenerator"]) {
        let files = texts(&generator["files"]);
        names.extend(files.iter().map(|file| match file.split_once('=') {
            Some((_, file)) => file,
            None => file,
        }));
    }
    names
}

/// Returns the file that a name refers to from a folder; for a folder its kustomization.
fn target(given: &Given, folder: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    [format!("{path}/{NAME}"), path]
        .into_iter()
        .find(|path| given.files.contains_key(path))
}
