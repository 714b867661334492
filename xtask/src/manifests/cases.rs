//! Kustomizations and values of the chart that must render to equal objects.

use serde_json::Value;

use super::Check;
use super::compare::differences;
use super::render::{Kustomization, Renderer};
use super::schemas::Schemas;
use crate::error::Result;
use crate::project::list;

/// Address of the API server in the cases.
const HOST: &str = "192.0.2.10";
const SET_HOST: &str = "apiServer.host=192.0.2.10";

const MONITORING: &str = "components/monitoring";

/// A kustomization and the chart's values for the same objects.
struct Case {
    name: &'static str,
    resource: &'static str,
    components: &'static [&'static str],
    /// True if the kustomization needs [`HOST`].
    host: bool,
    values: &'static [&'static str],
}

const CASES: [Case; 8] = [
    Case {
        name: "base",
        resource: "base",
        components: &[],
        host: true,
        values: &[SET_HOST],
    },
    Case {
        name: "kubeadm",
        resource: "overlays/kube-proxy-config",
        components: &[],
        host: false,
        values: &["kubeadm.yaml"],
    },
    Case {
        name: "k3s",
        resource: "overlays/k3s",
        components: &[],
        host: false,
        values: &["k3s.yaml"],
    },
    Case {
        name: "rke2",
        resource: "overlays/rke2",
        components: &[],
        host: false,
        values: &["rke2.yaml"],
    },
    Case {
        name: "eks",
        resource: "overlays/eks",
        components: &[],
        host: true,
        values: &["eks.yaml", SET_HOST],
    },
    Case {
        name: "canary",
        resource: "base",
        components: &["components/canary"],
        host: true,
        values: &[SET_HOST, "canary=true"],
    },
    Case {
        name: "monitoring",
        resource: "base",
        components: &[MONITORING],
        host: true,
        values: &[SET_HOST, "monitoring.enabled=true"],
    },
    Case {
        name: "kubeadm-with-everything",
        resource: "overlays/kube-proxy-config",
        components: &[MONITORING, "components/kube-proxy-job", "components/canary"],
        host: false,
        values: &[
            "kubeadm.yaml",
            "monitoring.enabled=true",
            "monitoring.job=kube-proxy",
            "canary=true",
        ],
    },
];

/// Namespaces of the cases: the usual one, and another one that everything must follow.
const NAMESPACES: [&str; 2] = ["kube-system", "proxies"];

pub(super) fn checks(renderer: &Renderer, schemas: &Schemas) -> Vec<Check> {
    let mut all = Vec::new();
    for case in &CASES {
        for namespace in NAMESPACES {
            let name = |what: &str| format!("{}::{namespace}::{what}", case.name);
            let (kustomize, helm) = match render(renderer, case, namespace) {
                Ok(rendered) => rendered,
                Err(error) => {
                    all.push(Check::new(name("renders"), Err(error)));
                    continue;
                }
            };
            let equal = differences(&kustomize, &helm);
            all.push(Check::new(
                name("chart_and_kustomization_are_equal"),
                Ok(equal),
            ));
            for (tool, objects) in [("kustomize", kustomize), ("helm", helm)] {
                let mistakes = schemas.mistakes(&objects);
                let check = format!("{tool}_output_is_valid_for_kubernetes");
                all.push(Check::new(name(&check), Ok(mistakes)));
                let elsewhere = elsewhere(&objects, namespace);
                let check = format!("{tool}_output_is_in_the_namespace");
                all.push(Check::new(name(&check), Ok(elsewhere)));
            }
        }
    }
    all
}

fn render(renderer: &Renderer, case: &Case, namespace: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let kustomization = Kustomization {
        resources: &[case.resource],
        components: case.components,
        namespace,
        host: case.host.then_some(HOST),
    };
    let directory = format!("{}-{namespace}", case.name);
    Ok((
        renderer.kustomize(&directory, &kustomization)?,
        renderer.template(namespace, case.values)?,
    ))
}

/// Returns complaints about namespaces other than the wanted one: of objects, and of the subjects
/// of a ClusterRoleBinding, without which the daemon has no rights.
pub(super) fn elsewhere(objects: &[Value], namespace: &str) -> Vec<String> {
    let mut all = Vec::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        let found = &object["metadata"]["namespace"];
        let wrong = match kind.starts_with("Cluster") {
            true => !found.is_null(),
            false => found != namespace,
        };
        if wrong {
            all.push(format!(
                "{kind} {}: namespace {found}",
                object["metadata"]["name"]
            ));
        }
        for subject in list(&object["subjects"]).filter(|one| one["namespace"] != namespace) {
            all.push(format!("{kind}: subject {subject}"));
        }
    }
    all
}
