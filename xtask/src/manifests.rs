//! The step `manifests` of `cargo xtask test`: renders everything below `manifests/` with real
//! `kubectl kustomize`, Helm and promtool, and checks the results.
//!
//! | module | contents |
//! |---|---|
//! | [`tools`] | the programs and the schemas, from packages |
//! | [`render`] | objects of a kustomization or of the chart |
//! | [`cases`] | pairs of a kustomization and values of the chart that must be equal |
//! | [`compare`] | differences of two lists of objects |
//! | [`schemas`] | Kubernetes' own schemas |
//! | [`chart`] | values that the chart refuses |
//! | [`patches`] | patches for kube-proxy's DaemonSet |
//! | [`prometheus`] | alerts with their unit tests, and the queries of the dashboard |
//! | [`scrape`] | the dashboard's queries on a real Prometheus |
//! | [`systemd`] | the unit |
//!
//! [`tidy`](crate::tidy) compares the same files with the code, without any program.

mod cases;
mod chart;
mod compare;
mod patches;
mod prometheus;
mod render;
mod schemas;
mod scrape;
mod systemd;
#[cfg(test)]
mod tests;
mod tools;

use crate::error::Result;
use crate::files;
use crate::libtest::Counts;
use crate::project::Project;
use crate::say::say;
use render::Renderer;
use schemas::Schemas;
use tools::Tools;

/// A named check with its complaints, empty if it passed.
struct Check {
    name: String,
    result: Result<Vec<String>>,
}

impl Check {
    fn new(name: impl Into<String>, result: Result<Vec<String>>) -> Self {
        Check {
            name: name.into(),
            result,
        }
    }
}

/// Runs all checks and prints a line for each.
///
/// # Errors
/// When a program cannot be fetched.
pub(crate) fn check(project: &Project) -> Result<Counts> {
    let tools = Tools::fetch(project)?;
    let schemas = Schemas::read(&tools.schemas)?;
    let renderer = Renderer::new(project, &tools);
    let mut checks = cases::checks(&renderer, &schemas);
    checks.extend(chart::checks(&renderer));
    checks.extend(patches::checks(&renderer, &schemas));
    checks.extend(prometheus::checks(project, &tools)?);
    checks.extend(scrape::checks(project, &tools)?);
    checks.extend(systemd::checks(project)?);
    let mut counts = Counts::default();
    for Check { name, result } in checks {
        let complaints = result.unwrap_or_else(|error| vec![error.to_string()]);
        match complaints.is_empty() {
            true => counts.passed += 1,
            false => {
                counts.failed += 1;
                let why = complaints.join("\n  ");
                counts.reasons.push(format!("{name}\n  {why}"));
            }
        }
        let end = if complaints.is_empty() {
            "ok"
        } else {
            "FAILED"
        };
        say(format_args!("{name} ... {end}"));
    }
    files::remove(&renderer.directory)?;
    Ok(counts)
}
