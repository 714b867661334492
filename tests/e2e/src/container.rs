//! The daemon in its image, run by `crun` from a bundle with all capabilities and the node's
//! network.
//!
//! `E2E_IMAGE` names the bundle that `cargo xtask image --unpack` writes. Without it the plain
//! program runs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::failure::{Context as _, Outcome};
use crate::namespace::Namespace;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Returns the bundle, if the image is to be tested.
#[must_use]
pub fn image() -> Option<PathBuf> {
    let name = std::env::var_os("E2E_IMAGE")?;
    (!name.is_empty()).then(|| name.into())
}

/// A command that runs the image, and the file for the daemon's process id.
pub(crate) struct Container {
    pub(crate) command: Command,
    pub(crate) process_id: PathBuf,
}

impl Container {
    /// Returns a container of the bundle's image. It mounts `folder`, which contains all files of
    /// `arguments`.
    pub(crate) fn new(
        bundle: &Path,
        node: &Namespace,
        folder: &Path,
        arguments: &[OsString],
    ) -> Outcome<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{}-{number}", std::process::id());
        let own = folder.join(&name);
        let writing = || format!("writing a bundle to {}", own.display());
        fs::create_dir_all(&own).context(writing)?;
        lock()?;
        let text = fs::read_to_string(bundle.join("config.json")).context(writing)?;
        let mut config: Value = serde_json::from_str(&text).context(writing)?;
        adapt(&mut config, bundle, folder, arguments);
        fs::write(own.join("config.json"), config.to_string()).context(writing)?;
        let process_id = own.join("pid");
        let mut command = node.command("crun");
        command
            .args(["--cgroup-manager=disabled", "--root=/run/crun", "run"])
            .arg(format!("--pid-file={}", process_id.display()))
            .arg(format!("--bundle={}", own.display()))
            .arg(name);
        Ok(Self {
            command,
            process_id,
        })
    }
}

/// Creates the lock file that `iptables` of the host and of the container share. The bundle mounts
/// it.
fn lock() -> Outcome {
    let path = "/run/xtables.lock";
    let open = fs::File::options().create(true).append(true).open(path);
    open.map(drop).context(|| format!("creating {path}"))
}

fn adapt(config: &mut Value, bundle: &Path, folder: &Path, arguments: &[OsString]) {
    config["root"]["path"] = json!(bundle.join("rootfs"));
    let process = &mut config["process"];
    let mut all = vec![process["args"][0].clone()];
    all.extend(arguments.iter().map(|word| json!(word.to_string_lossy())));
    process["args"] = Value::Array(all);
    if let Value::Array(mounts) = &mut config["mounts"] {
        mounts.push(json!({"type": "tmpfs", "source": "tmpfs", "destination": "/tmp"}));
        mounts.push(json!({
            "type": "bind", "source": folder, "destination": folder,
            "options": ["rbind", "rprivate", "rw"],
        }));
    }
}
