//! The DaemonSet must run this image with arguments, ports and rights that the daemon supports.

use serde_json::Value;
use std::collections::BTreeSet;

use super::{Given, code, rows, texts};
use crate::image::{CAPABILITIES, NAME};
use crate::project::list;

/// Ports of the container by name, with the field that determines the number.
const PORTS: [(&str, &str); 2] = [
    ("healthz", "healthzBindAddress"),
    ("metrics", "metricsBindAddress"),
];

/// Page of the health server for each probe.
const PROBES: [(&str, &str); 2] = [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")];

pub(super) fn check(given: &Given) -> Vec<String> {
    let mut all = Vec::new();
    let flags = flags(given);
    for (path, workload) in given.of_kind("DaemonSet") {
        let mut complain = |what: String| all.push(format!("manifests/{path}: {what}"));
        let pod = &workload["spec"]["template"]["spec"];
        for container in list(&pod["initContainers"]).chain(list(&pod["containers"])) {
            unknown_arguments(container, &flags, &mut complain);
            wrong_image(container, given, &mut complain);
            lost_configuration(container, &mut complain);
        }
        // A patch lacks the fields that it does not change.
        for container in list(&pod["containers"]).filter(|container| !container["image"].is_null())
        {
            wrong_capabilities(container, &mut complain);
            wrong_ports(container, given, &mut complain);
            wrong_probes(container, &mut complain);
        }
    }
    for (path, patch) in given.all() {
        let added = list(patch).filter(|step| {
            step["path"]
                .as_str()
                .is_some_and(|path| path.ends_with("/args/-"))
        });
        for argument in added.filter_map(|step| step["value"].as_str()) {
            if !flags.contains(name_of(argument)) {
                all.push(format!(
                    "manifests/{path}: kube-ipvsd has no argument {argument}"
                ));
            }
        }
    }
    all.extend(wrong_monitors(given));
    all.extend(wrong_versions(given));
    all
}

/// Returns every flag of the daemon: those of its help, and kube-proxy's in the page on the
/// configuration.
pub(super) fn flags(given: &Given) -> BTreeSet<&str> {
    let help = given.daemon.lines().filter_map(|line| {
        let line = line.trim_start();
        let long = line
            .find("--")
            .filter(|at| *at == 0 || line.starts_with('-'));
        long.map(|at| &line[at..])
    });
    let mut flags: BTreeSet<&str> = help.map(name_of).collect();
    for row in rows(&given.config) {
        let cells = row.iter().take(2).filter_map(|cell| code(cell));
        flags.extend(cells.filter(|cell| cell.starts_with("--")).map(name_of));
    }
    flags
}

/// Returns `--config` of `--config=…`, `--config <FILE>` and `--masquerade-all[=<BOOL>]`.
pub(super) fn name_of(argument: &str) -> &str {
    let end = argument.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    &argument[..end.unwrap_or(argument.len())]
}

fn unknown_arguments(container: &Value, flags: &BTreeSet<&str>, complain: &mut impl FnMut(String)) {
    for argument in list(&container["args"]).filter_map(Value::as_str) {
        if !flags.contains(name_of(argument)) {
            complain(format!("kube-ipvsd has no argument {argument}"));
        }
    }
}

fn wrong_image(container: &Value, given: &Given, complain: &mut impl FnMut(String)) {
    let want = format!("{NAME}:{}", given.version);
    if let Some(image) = container["image"].as_str().filter(|image| *image != want) {
        complain(format!("the image is {image}, not {want}"));
    }
}

/// Checks that `--config` names a file in a volume.
fn lost_configuration(container: &Value, complain: &mut impl FnMut(String)) {
    let mounts: Vec<&str> = list(&container["volumeMounts"])
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    for argument in list(&container["args"]).filter_map(Value::as_str) {
        let file = argument
            .strip_prefix("--config=")
            .and_then(|file| file.rsplit_once('/'));
        if let Some((folder, _)) = file.filter(|(folder, _)| !mounts.contains(folder)) {
            complain(format!("no volume is mounted at {folder} for {argument}"));
        }
    }
}

fn wrong_capabilities(container: &Value, complain: &mut impl FnMut(String)) {
    let capabilities = &container["securityContext"]["capabilities"];
    let (added, want) = (texts(&capabilities["add"]), BTreeSet::from(CAPABILITIES));
    if added != want {
        complain(format!(
            "the daemon's capabilities are {added:?}, not {want:?}"
        ));
    }
    if texts(&capabilities["drop"]) != BTreeSet::from(["ALL"]) {
        complain("the daemon keeps capabilities that it does not need".to_owned());
    }
}

fn wrong_ports(container: &Value, given: &Given, complain: &mut impl FnMut(String)) {
    for (name, field) in PORTS {
        let want = default_port(given, field);
        let port = list(&container["ports"]).find(|port| port["name"] == name);
        let number = port.and_then(|port| port["containerPort"].as_u64());
        if want.is_none() || number != want {
            complain(format!(
                "the port {name} is {number:?}, and {field} has {want:?}"
            ));
        }
    }
}

/// Returns the port of `0.0.0.0:10256`, the default of a field.
fn default_port(given: &Given, field: &str) -> Option<u64> {
    let rows = rows(&given.config);
    let row = rows.iter().find(|row| code(row[0]) == Some(field))?;
    code(row.get(3)?)?.rsplit_once(':')?.1.parse().ok()
}

fn wrong_probes(container: &Value, complain: &mut impl FnMut(String)) {
    for (probe, page) in PROBES {
        let get = &container[probe]["httpGet"];
        if get["port"] != PORTS[0].0 || get["path"] != page {
            complain(format!(
                "the {probe} asks for {get}, not for {page} of the health server"
            ));
        }
    }
}

/// Checks that the chart has the version of the project, which is the tag of its image.
fn wrong_versions(given: &Given) -> Vec<String> {
    let charts = (given.all()).filter(|(path, _)| path.ends_with("/Chart.yaml"));
    charts
        .flat_map(|(path, chart)| ["version", "appVersion"].map(|key| (path, key, &chart[key])))
        .filter(|(_, _, found)| **found != given.version)
        .map(|(path, key, found)| {
            format!("manifests/{path}: {key} is {found}, not {}", given.version)
        })
        .collect()
}

/// Checks that a PodMonitor selects a port and labels that the DaemonSet's pods have.
fn wrong_monitors(given: &Given) -> Vec<String> {
    let labels: Vec<&Value> = (given.of_kind("DaemonSet"))
        .map(|(_, workload)| &workload["spec"]["template"]["metadata"]["labels"])
        .collect();
    let mut all = Vec::new();
    for (path, monitor) in given.of_kind("PodMonitor") {
        let spec = &monitor["spec"];
        if !labels.contains(&&spec["selector"]["matchLabels"]) {
            all.push(format!(
                "manifests/{path}: no pods have the labels of its selector"
            ));
        }
        for endpoint in list(&spec["podMetricsEndpoints"]) {
            if endpoint["port"] != PORTS[1].0 {
                all.push(format!(
                    "manifests/{path}: no metrics are at the port {}",
                    endpoint["port"]
                ));
            }
        }
    }
    all
}
