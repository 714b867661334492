//! Builds the upper layer: our static programs, which need no library of the image.
//!
//! glibc's own name lookups (files and DNS) are part of its static library since version 2.34. They
//! are needed because a kubeconfig may name the API server.

use std::fs;
use std::path::PathBuf;

use super::licenses;
use super::tree::Tree;
use crate::error::{Context, Error, Result};
use crate::project::{self, Project};
use crate::say::say;
use crate::vm::closure;

/// Packages and the program of each.
pub(super) const PROGRAMS: &[(&str, &str)] = &[("node", "kube-ipvsd"), ("ipvsctl", "ipvsctl")];

/// Cargo profile of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Small and fast.
    Release,
    /// Compiled faster, for tests.
    Dev,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Dev => "dev",
        }
    }

    /// Returns cargo's output folder for this profile.
    fn folder(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Dev => "debug",
        }
    }
}

/// Name of a program and path of its executable.
pub(super) type Built = (&'static str, PathBuf);

/// Returns the files of the layer.
pub(super) fn tree(project: &Project, built: &[Built]) -> Result<Tree> {
    let mut tree = Tree::default();
    for (name, path) in built {
        let bytes = fs::read(path).context(|| format!("reading {}", path.display()))?;
        tree.file(&format!("usr/local/bin/{name}"), 0o755, bytes);
    }
    let license = fs::read(project.root.join("LICENSE")).context(|| "reading LICENSE")?;
    tree.file("usr/share/doc/kube-ipvs/LICENSE", 0o644, license);
    let notices = licenses::of_dependencies(project, &target())?;
    tree.file("usr/share/doc/kube-ipvs/THIRD-PARTY", 0o644, notices);
    Ok(tree)
}

/// Returns the target. Cargo gets it explicitly even if it is the host's: otherwise the flags would
/// apply to procedural macros too, which cannot be static.
pub(crate) fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Compiles the programs.
pub(super) fn build(project: &Project, profile: Profile) -> Result<Vec<Built>> {
    say(format_args!(
        "building static programs ({})",
        profile.name()
    ));
    let directory = project.target.join("image/build");
    let mut command = project.cargo();
    command
        .args(["build", "--quiet", "--target", &target()])
        .args(["--profile", profile.name()])
        .arg("--target-dir")
        .arg(&directory)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            static_flags(project).join("\x1f"),
        )
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env("CARGO_PROFILE_DEV_STRIP", "true");
    for (package, program) in PROGRAMS {
        command.args(["--package", package, "--bin", program]);
    }
    project::build(&mut command, "the static programs")?;
    let folder = directory.join(target()).join(profile.folder());
    let programs: Vec<_> = PROGRAMS
        .iter()
        .map(|(_, program)| (*program, folder.join(program)))
        .collect();
    are_static(&programs)?;
    Ok(programs)
}

/// Returns the flags of rustc: static, and without the names of this machine's directories in panic
/// messages.
pub(crate) fn static_flags(project: &Project) -> Vec<String> {
    let mut flags = vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/kube-ipvs", project.root.display()),
    ];
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags
}

fn are_static(programs: &[Built]) -> Result {
    for (name, path) in programs {
        if !closure::libraries(std::slice::from_ref(path))?.is_empty() {
            return Err(Error::new(format!(
                "{name} is linked with shared libraries"
            )));
        }
    }
    Ok(())
}
