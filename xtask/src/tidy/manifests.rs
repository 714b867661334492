//! The manifests must match the code: rights, arguments, ports, metrics and fields.
//!
//! | module | compares |
//! |---|---|
//! | [`kustomize`] | files with the kustomizations that name them |
//! | [`rights`] | the ClusterRole with the code's requests to the API server |
//! | [`workload`] | the DaemonSet with the command line, the image and the configuration's defaults |
//! | [`unit`] | the systemd unit with the command line and the image's capabilities |
//! | [`metrics`] | the dashboard and the alerts with `docs/reference/metrics.md` |
//! | [`settings`] | the ConfigMap with `docs/reference/config.md` |

mod kustomize;
mod metrics;
mod rights;
mod settings;
#[cfg(test)]
mod tests;
mod unit;
mod workload;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::{Project, list};

/// Input of all comparisons.
pub(super) struct Given {
    /// Files of `manifests/`, by their path in it.
    files: BTreeMap<String, String>,
    /// Parsed YAML and JSON files, by the same path.
    documents: BTreeMap<String, Vec<Value>>,
    /// Sources of the crates, by path in the project.
    sources: BTreeMap<String, String>,
    /// `docs/reference/daemon.md`.
    daemon: String,
    /// `docs/reference/config.md`.
    config: String,
    /// `docs/reference/metrics.md`.
    metrics: String,
    /// Version of the project.
    version: String,
}

/// Returns the complaints about the manifests.
pub(super) fn complaints(project: &Project) -> Result<Vec<String>> {
    Ok(check(&Given::read(&project.root)?))
}

fn check(given: &Given) -> Vec<String> {
    [
        kustomize::check(given),
        rights::check(given),
        workload::check(given),
        unit::check(given),
        metrics::check(given),
        settings::check(given),
    ]
    .concat()
}

impl Given {
    fn read(root: &Path) -> Result<Self> {
        let read = |name: &str| files::read(&root.join("docs/reference").join(name));
        let files = texts_below(&root.join("manifests"), &|_| true)?;
        let sources = files_of_crates(root)?;
        Ok(Given {
            documents: documents(&files)?,
            files,
            sources,
            daemon: read("daemon.md")?,
            config: read("config.md")?,
            metrics: read("metrics.md")?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Returns every document of every file, with the file's path.
    fn all(&self) -> impl Iterator<Item = (&str, &Value)> {
        (self.documents.iter())
            .flat_map(|(path, values)| values.iter().map(move |value| (path.as_str(), value)))
    }

    /// Returns the documents of a kind.
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.all().filter(move |(_, value)| value["kind"] == kind)
    }
}

/// Returns the sources of `crates/` without their tests.
fn files_of_crates(root: &Path) -> Result<BTreeMap<String, String>> {
    let wanted =
        |path: &str| path.ends_with(".rs") && path.contains("/src/") && !path.contains("test");
    texts_below(&root.join("crates"), &wanted)
}

/// Returns the wanted files below a folder, by their path in it.
fn texts_below(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for path in files::entries(&next)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap_or(&path);
            let name = name.to_string_lossy().into_owned();
            if wanted(&name) {
                all.insert(name, files::read(&path)?);
            }
        }
    }
    Ok(all)
}

fn documents(files: &BTreeMap<String, String>) -> Result<BTreeMap<String, Vec<Value>>> {
    // Templates are no YAML. The step `manifests` renders them.
    let is_data = |path: &str| {
        !path.contains("/templates/") && (path.ends_with(".yaml") || path.ends_with(".json"))
    };
    (files.iter())
        .filter(|(path, _)| is_data(path))
        .map(|(path, text)| {
            let values = match path.ends_with(".json") {
                true => vec![serde_json::from_str(text).context(|| format!("manifests/{path}"))?],
                false => serde_saphyr::from_multiple::<Value>(text)
                    .map_err(|error| Error::new(format!("manifests/{path}: {error}")))?,
            };
            Ok((path.clone(), values))
        })
        .collect()
}

/// Returns the strings of a list.
fn texts(value: &Value) -> BTreeSet<&str> {
    list(value).filter_map(Value::as_str).collect()
}

/// Returns the cells of each row of all tables of a page, without the heads and the rulers.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = page.lines().collect();
    let is_line = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("|---"));
    (lines.iter().enumerate())
        .filter(|(at, line)| line.starts_with('|') && !is_line(*at) && !is_line(at + 1))
        .map(|(_, line)| {
            let cells = line.trim_matches('|').split('|');
            cells.map(str::trim).collect()
        })
        .collect()
}

/// Returns the text between a cell's first two backticks.
fn code(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}
