//! The crates in our programs, and their notices.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::programs::PROGRAMS;
use crate::error::{Context, Result};
use crate::files;
use crate::project::{self, Project, list};

/// Prefixes of the file names of notices.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// An external crate that our programs contain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dependency {
    /// Name in the registry.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// Licence, as an SPDX expression.
    pub(crate) license: String,
    /// Directory of its sources.
    folder: PathBuf,
}

impl Dependency {
    /// Returns a dependency without sources.
    #[cfg(test)]
    pub(super) fn new(name: &str, version: &str, license: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.to_owned(),
            folder: PathBuf::new(),
        }
    }
}

/// Returns the external crates of our programs for `target`, by name and version.
pub(crate) fn of_programs(project: &Project, target: &str) -> Result<BTreeSet<Dependency>> {
    let mut command = project.cargo();
    command.args(["metadata", "--filter-platform", target]);
    let metadata = project::metadata(&mut command)?;
    let roots: Vec<&str> = PROGRAMS.iter().map(|(package, _)| *package).collect();
    let packages = linked(&metadata, &roots).into_iter();
    let dependencies = packages.map(|package| {
        let word = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let manifest = PathBuf::from(word("manifest_path"));
        Dependency {
            name: word("name"),
            version: word("version"),
            license: word("license"),
            folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
        }
    });
    Ok(dependencies.collect())
}

/// Returns all notices as one text. Each text occurs once, below the crates that have it.
pub(super) fn notices(dependencies: &BTreeSet<Dependency>) -> Result<String> {
    let mut crates_by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for dependency in dependencies {
        let Dependency {
            name,
            version,
            license,
            folder,
        } = dependency;
        let name = format!("{name} {version} ({license})");
        for text in texts(folder)? {
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
