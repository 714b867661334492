//! The systemd unit must start the daemon with arguments and rights that it supports.

use std::collections::BTreeSet;

use super::Given;
use super::workload::{flags, name_of};
use crate::image::CAPABILITIES;

const UNIT: &str = "systemd/kube-ipvsd.service";

/// File with the arguments for `$KUBE_IPVSD_ARGS`.
const DEFAULTS: &str = "systemd/kube-ipvsd.default";

pub(super) fn check(given: &Given) -> Vec<String> {
    let (Some(unit), Some(defaults)) = (given.files.get(UNIT), given.files.get(DEFAULTS)) else {
        return vec![format!("manifests: {UNIT} or {DEFAULTS} is missing")];
    };
    let mut all = Vec::new();
    let flags = flags(given);
    let commands = unit.lines().filter(|line| line.starts_with("Exec"));
    let defaults = defaults
        .lines()
        .filter(|line| line.contains("KUBE_IPVSD_ARGS="));
    for word in commands.chain(defaults).flat_map(words) {
        if word.starts_with("--") && !flags.contains(name_of(word)) {
            all.push(format!(
                "manifests/{UNIT}: kube-ipvsd has no argument {word}"
            ));
        }
    }
    let set = |key: &str| -> BTreeSet<&str> {
        let mut lines = unit.lines().filter_map(|line| line.strip_prefix(key));
        lines.next().unwrap_or_default().split(' ').collect()
    };
    let capabilities: BTreeSet<&str> = set("CapabilityBoundingSet=")
        .into_iter()
        .map(|name| name.trim_start_matches("CAP_"))
        .collect();
    let want = BTreeSet::from(CAPABILITIES);
    if capabilities != want {
        all.push(format!(
            "manifests/{UNIT}: the capabilities are {capabilities:?}, not {want:?}"
        ));
    }
    all
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '"', '='].as_slice())
}
