//! Collects the notices of the crates in our programs.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::programs::PROGRAMS;
use crate::error::{Context, Error, Result};
use crate::project::{Project, cargo};

/// Prefixes of the file names of notices.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// Returns all notices as one text. Each text occurs once, below the crates that have it.
pub(super) fn of_dependencies(project: &Project, target: &str) -> Result<String> {
    let metadata = metadata(project, target)?;
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

fn metadata(project: &Project, target: &str) -> Result<Value> {
    let output = cargo()
        .current_dir(&project.root)
        .args([
            "metadata",
            "--format-version=1",
            "--filter-platform",
            target,
        ])
        .stderr(Stdio::inherit())
        .output()
        .context(|| "starting `cargo metadata`")?;
    if !output.status.success() {
        return Err(Error::new("`cargo metadata` failed"));
    }
    serde_json::from_slice(&output.stdout).context(|| "reading the answer of `cargo metadata`")
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

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Returns the notices in a crate's folder.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let reading = || format!("reading {}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).context(reading)? {
        let entry = entry.context(reading)?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            let text = fs::read(entry.path()).context(reading)?;
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
