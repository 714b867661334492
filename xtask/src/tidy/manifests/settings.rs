//! The fields of the ConfigMap's configuration must be fields of the daemon's configuration.
//!
//! The tests check the values with the daemon's own code.

use serde_json::Value;
use std::collections::BTreeSet;

use super::{Given, code, rows};

const KIND: &str = "KubeIpvsConfiguration";

/// Fields of every configuration file.
const HEAD: [&str; 2] = ["apiVersion", "kind"];

pub(super) fn check(given: &Given) -> Vec<String> {
    let rows = rows(&given.config);
    let known: BTreeSet<&str> = rows.iter().filter_map(|row| code(row[0])).collect();
    let mut all = Vec::new();
    let mut files = 0;
    for (path, document) in given.of_kind(KIND) {
        files += 1;
        let mut fields = Vec::new();
        leaves("", document, &mut fields);
        let unknown = fields
            .iter()
            .filter(|field| !known.contains(field.as_str()) && !HEAD.contains(&field.as_str()));
        all.extend(
            unknown
                .map(|field| format!("manifests/{path}: the configuration has no field {field}")),
        );
    }
    if files == 0 {
        all.push(format!("manifests: there is no {KIND}"));
    }
    all
}

fn leaves(path: &str, value: &Value, all: &mut Vec<String>) {
    let Some(fields) = value.as_object() else {
        all.push(path.to_owned());
        return;
    };
    for (key, value) in fields {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        leaves(&path, value, all);
    }
}
