//! Builds the upper layer: our static programs, which need no library of the image.
//!
//! glibc's own name lookups (files and DNS) are part of its static library since version 2.34. They
//! are needed because a kubeconfig may name the API server.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::dependencies::{self, Dependency};
use super::tree::Tree;
use crate::error::{Context, Error, Result};
use crate::project::{self, Project};
use crate::say::say;
use crate::vm::closure;

/// A package and one of its programs.
pub(crate) type Program = (&'static str, &'static str);

/// Programs of the image.
pub(crate) const PROGRAMS: [Program; 2] = [("node", "kube-ipvsd"), ("ipvsctl", "ipvsctl")];

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
pub(crate) type Built = (&'static str, PathBuf);

/// Returns the programs below `bin`, and their licence and notices below `doc`.
pub(crate) fn tree(
    project: &Project,
    built: &[Built],
    dependencies: &BTreeSet<Dependency>,
    [bin, doc]: [&str; 2],
) -> Result<Tree> {
    let mut tree = Tree::default();
    for (name, path) in built {
        let bytes = fs::read(path).context(|| format!("reading {}", path.display()))?;
        tree.file(&format!("{bin}/{name}"), 0o755, bytes);
    }
    let license = fs::read(project.root.join("LICENSE")).context(|| "reading LICENSE")?;
    tree.file(&format!("{doc}/LICENSE"), 0o644, license);
    let notices = dependencies::notices(dependencies)?;
    tree.file(&format!("{doc}/THIRD-PARTY"), 0o644, notices);
    Ok(tree)
}

/// Returns the target. Cargo gets it explicitly even if it is the host's: otherwise the flags would
/// apply to procedural macros too, which cannot be static.
pub(crate) fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Compiles the programs of the image. They print `version` as theirs.
pub(super) fn build(project: &Project, profile: Profile, version: &str) -> Result<Vec<Built>> {
    say(format_args!(
        "building static programs ({})",
        profile.name()
    ));
    compile(project, profile, &PROGRAMS, version, &["--quiet"])
}

/// Compiles `programs` as those of the image are. Each file is beside the others.
pub(crate) fn compile(
    project: &Project,
    profile: Profile,
    programs: &[Program],
    version: &str,
    options: &[&str],
) -> Result<Vec<Built>> {
    let directory = project.target.join("image/build");
    let mut command = project.cargo();
    command
        .args(["build", "--target", &target()])
        .args(options)
        .args(["--profile", profile.name()])
        .arg("--target-dir")
        .arg(&directory)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            static_flags(project).join("\x1f"),
        )
        .env("KUBE_IPVS_VERSION", version)
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env("CARGO_PROFILE_DEV_STRIP", "true");
    for (package, program) in programs {
        command.args(["--package", package, "--bin", program]);
    }
    project::build(&mut command, "the static programs")?;
    let folder = directory.join(target()).join(profile.folder());
    let programs: Vec<_> = programs
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
