//! Collects the notices of the crates in our programs.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::programs::PROGRAMS;
use crate::error::{Context, Result};
use crate::files;
use crate::project::{self, Project, list};

/// Prefixes of the file names of notices.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// Returns all notices as one text. Each text occurs once, below the crates that have it.
pub(super) fn of_dependencies(project: &Project, target: &str) -> Result<String> {
    let mut command = project.cargo();
    command.args(["metadata", "--filter-platform", target]);
    let metadata = project::metadata(&mut command)?;
    let roots: Vec<&str> = PROGRAMS.iter().map(|(package, _)| *package).collect();
    let mut crates_by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in linked(&metadata, &roots) {
        let word = |key: &str| package[key].as_str().unwrap_or_default();
        let name = format!("{} {} ({})", word("name"), word("version"), word("license"));
        let folder = Path::new(word("manifest_path")).parent();
        for text in folder.map_or(Ok(Vec::new()), texts)? {
            crates_by_text.entry(text).or_default().insert(name.clone());
        }
    }
    Ok(page(&crates_by_text))
}

/// Returns the external packages that the packages `roots` use at run time.
fn linked<'a>(metadata: &'a Value, roots: &[&str]) -> Vec<&'a Value> {
    let packages: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let mut waiting: Vec<&str> = (packages.iter())
        .filter(|(_, package)| {
            package["source"].is_null() && roots.iter().any(|root| package["name"] == *root)
        })
        .map(|(id, _)| *id)
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).map(|node| list(&node["deps"]));
        let runs =
            |dependency: &&Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
        let dependencies = dependencies.into_iter().flatten().filter(runs);
        waiting.extend(dependencies.filter_map(|dependency| dependency["pkg"].as_str()));
    }
    (seen.into_iter())
        .filter_map(|id| packages.get(id).copied())
        .filter(|package| !package["source"].is_null())
        .collect()
}

/// Returns the notices in a crate's folder.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in files::entries(folder)? {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_uppercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && path.is_file() {
            let text = fs::read(&path).context(|| format!("reading {}", path.display()))?;
            texts.push(String::from_utf8_lossy(&text).trim().to_owned());
        }
    }
    Ok(texts)
}

fn page(crates_by_text: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut page = String::from("kube-ipvsd and ipvsctl are made of these crates too.\n");
    for (text, crates) in crates_by_text {
        let _ = writeln!(page, "\n{}\n", "=".repeat(80));
        for name in crates {
            let _ = writeln!(page, "{name}");
        }
        let _ = writeln!(page, "\n{text}");
    }
    page
}
