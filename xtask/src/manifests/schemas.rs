//! Kubernetes' own schemas, strict: an unknown field is a mistake, as with server-side validation.

use jsonschema::Validator;
use serde_json::{Value, json};
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::files;

/// The oldest and the newest version that the package of schemas has.
const VERSIONS: [&str; 2] = ["v1.25.0", "v1.37.0"];

/// Kinds of Kubernetes in the manifests, with the names of their definitions.
const KINDS: [(&str, &str); 5] = [
    ("ClusterRole", "io.k8s.api.rbac.v1.ClusterRole"),
    (
        "ClusterRoleBinding",
        "io.k8s.api.rbac.v1.ClusterRoleBinding",
    ),
    ("ConfigMap", "io.k8s.api.core.v1.ConfigMap"),
    ("DaemonSet", "io.k8s.api.apps.v1.DaemonSet"),
    ("ServiceAccount", "io.k8s.api.core.v1.ServiceAccount"),
];

/// Kinds of the Prometheus operator, which have no schema here. promtool checks the rules.
const OTHERS: [&str; 2] = ["PodMonitor", "PrometheusRule"];

/// A validator for each version and kind.
pub(super) struct Schemas(Vec<(&'static str, &'static str, Validator)>);

impl Schemas {
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let mut all = Vec::new();
        for version in VERSIONS {
            let file = directory.join(format!("{version}-local-strict/_definitions.json"));
            let text = files::read(&file)?;
            let whole: Value =
                serde_json::from_str(&text).context(|| file.display().to_string())?;
            // Older packages of schemas name them `definitions`.
            let place = ["$defs", "definitions"]
                .into_iter()
                .find(|key| whole.get(key).is_some());
            let place =
                place.ok_or_else(|| Error::new(format!("{}: no schemas", file.display())))?;
            for (kind, name) in KINDS {
                let schema = json!({"$ref": format!("#/{place}/{name}"), place: whole[place]});
                let validator = jsonschema::draft202012::new(&schema)
                    .context(|| format!("{}: {name}", file.display()))?;
                all.push((version, kind, validator));
            }
        }
        Ok(Schemas(all))
    }

    /// Returns the mistakes of objects.
    pub(super) fn mistakes(&self, objects: &[Value]) -> Vec<String> {
        let mut all = Vec::new();
        for object in objects {
            let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
            let mut known = OTHERS.iter().any(|other| kind == other);
            for (version, _, validator) in self.0.iter().filter(|(_, its, _)| kind == its) {
                known = true;
                all.extend(validator.iter_errors(object).map(|error| {
                    format!(
                        "{kind} {name}, {version}: {error} at {}",
                        error.instance_path()
                    )
                }));
            }
            if !known {
                all.push(format!(
                    "{kind} {name}: no schema in xtask/src/manifests/schemas.rs"
                ));
            }
        }
        all
    }
}
