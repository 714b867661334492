//! Where the project is, and what cargo knows of it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};

/// The checkout this tool was started in.
pub(crate) struct Project {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory; everything this tool writes is under its `vm/`.
    pub(crate) target: PathBuf,
    /// `cargo metadata --no-deps`: the members, their targets and their direct dependencies.
    pub(crate) metadata: Value,
}

impl Project {
    /// Asks cargo.
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

    /// The cache and the working files of the VMs.
    pub(crate) fn vm(&self, part: impl AsRef<Path>) -> PathBuf {
        self.target.join("vm").join(part)
    }

    /// The workspace's packages.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }
}

/// The cargo that started this tool, or the one on the path, without the environment that `cargo run` gave this tool.
///
/// Build scripts are run again where a variable that they watch has changed: that of `ring` watches `CARGO_PKG_NAME`, so
/// that all that depends on it would be built twice, by a plain cargo and by this one.
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
