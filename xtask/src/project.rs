//! Paths of the project, and cargo's metadata.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};
use crate::vm::shell;

/// The checkout in which this tool was started.
pub(crate) struct Project {
    /// Root of the workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// `cargo metadata --no-deps`: the members, their targets and their direct dependencies.
    pub(crate) metadata: Value,
}

impl Project {
    /// Reads the metadata from cargo.
    pub(crate) fn find() -> Result<Self> {
        let metadata = metadata(cargo().args(["metadata", "--no-deps"]))?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .ok_or_else(|| Error::new(format!("`cargo metadata` gave no {key}")))
        };
        Ok(Project {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            metadata,
        })
    }

    /// Returns the path of `part` in the cache and working files of the VMs.
    pub(crate) fn vm(&self, part: impl AsRef<Path>) -> PathBuf {
        self.target.join("vm").join(part)
    }

    /// Returns the packages of the workspace.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        list(&self.metadata["packages"])
    }

    /// Returns [`cargo`] in the workspace's root, with an empty standard input.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// Returns the paths of the files that git tracks or would add and that match one of
    /// `patterns`, or of all without patterns, from the workspace's root.
    pub(crate) fn files(&self, patterns: &[&str]) -> Result<Vec<String>> {
        let root = self.root.to_string_lossy();
        let command = ["-C", &*root, "ls-files", "-z"];
        let which = ["--cached", "--others", "--exclude-standard", "--"];
        let names = shell::output("git", &[&command[..], &which, patterns].concat())?;
        let names = names.split_terminator('\0');
        Ok(names.map(str::to_owned).collect())
    }
}

/// Runs `command`, a `cargo metadata`, and returns its answer.
pub(crate) fn metadata(command: &mut Command) -> Result<Value> {
    let output = command
        .arg("--format-version=1")
        .stderr(Stdio::inherit())
        .output()
        .context(|| "starting `cargo metadata`")?;
    if !output.status.success() {
        return Err(Error::new("`cargo metadata` failed"));
    }
    serde_json::from_slice(&output.stdout).context(|| "reading the answer of `cargo metadata`")
}

/// Runs `command`, a `cargo build` of `what`.
pub(crate) fn build(command: &mut Command, what: &str) -> Result {
    let status = command.status().context(|| "starting cargo")?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(format!("{what} cannot be built"))),
    }
}

/// Returns the elements of a list; empty if the value is not a list.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}

/// Returns the cargo that started this tool, or the one in `PATH`, without the environment that
/// `cargo run` gave this tool.
///
/// Cargo runs a build script again if a variable that it watches has changed. That of `ring`
/// watches `CARGO_PKG_NAME`: without this, a plain cargo and this tool would rebuild everything
/// that depends on it in turn.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
