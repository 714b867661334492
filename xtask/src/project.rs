//! Paths of the project, and cargo's metadata.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};

/// The checkout in which this tool was started.
pub(crate) struct Project {
    /// Root of the workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target directory. This tool writes only below its `vm/`.
    pub(crate) target: PathBuf,
    /// `cargo metadata --no-deps`: the members, their targets and their direct dependencies.
    pub(crate) metadata: Value,
}

impl Project {
    /// Reads the metadata from cargo.
    pub(crate) fn find() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version=1"])
            .stderr(Stdio::inherit())
            .output()
            .context(|| "starting `cargo metadata`")?;
        if !output.status.success() {
            return Err(Error::new("`cargo metadata` failed"));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .context(|| "reading the answer of `cargo metadata`")?;
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
        self.metadata["packages"].as_array().into_iter().flatten()
    }
}

/// Returns the cargo that started this tool, or the one in `PATH`, without the environment that
/// `cargo run` gave this tool.
///
/// Cargo runs a build script again if a variable that it watches has changed. That of `ring`
/// watches `CARGO_PKG_NAME`: without this, a plain cargo and this tool would rebuild everything that
/// depends on it in turn.
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
