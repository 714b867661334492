//! Every alert must have a runbook, `docs/runbooks/ALERT.md`, and every runbook an alert.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::error::Result;
use crate::files;
use crate::project::Project;

/// Folder of the runbooks.
const RUNBOOKS: &str = "docs/runbooks/";

/// Key of an alert's name in a PrometheusRule.
const ALERT: &str = "- alert: ";

/// Page of the folder that is not about an alert.
const INDEX: &str = "README";

/// Returns the complaints about alerts and runbooks.
pub(super) fn complaints(project: &Project) -> Result<Vec<String>> {
    let mut rules = String::new();
    for name in project.files(&["manifests/*.yaml"])? {
        let path = project.root.join(name);
        if path.exists() {
            rules.push_str(&files::read(&path)?);
        }
    }
    let pages = project.files(&[RUNBOOKS])?.into_iter();
    let pages = pages.filter(|name| project.root.join(name).exists());
    Ok(check(&rules, &pages.collect::<Vec<_>>()))
}

/// Compares the alerts in `rules` with the files `pages` of the folder.
fn check(rules: &str, pages: &[String]) -> Vec<String> {
    let alerts: BTreeSet<&str> = (rules.lines())
        .filter_map(|line| line.trim().strip_prefix(ALERT))
        .map(|name| name.trim_matches(['"', '\'']))
        .collect();
    let pages: BTreeSet<&str> = (pages.iter())
        .filter_map(|name| name.strip_prefix(RUNBOOKS)?.strip_suffix(".md"))
        .filter(|name| *name != INDEX)
        .collect();
    let missing = alerts.difference(&pages);
    let missing = missing.map(|name| format!("alert {name} has no page {RUNBOOKS}{name}.md"));
    let superfluous = pages.difference(&alerts);
    let superfluous = superfluous.map(|name| format!("{RUNBOOKS}{name}.md has no alert {name}"));
    missing.chain(superfluous).collect()
}
