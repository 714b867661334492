//! Counts instructions with callgrind, a tool of valgrind. A program takes the same number of
//! instructions in each run.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};
use crate::files;
use crate::image;
use crate::project::{self, Project};
use crate::say::say;
use crate::vm::{packages, shell};

/// Function of the program whose instructions are counted, including those of its callees.
const COUNTED: &str = "hot::measured*";

/// glibc chooses its copying functions by the features of the processor. With these tunables it
/// chooses the same ones on every processor.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX,-AVX_Usable,-AVX2,-AVX2_Usable,-AVX512F,-AVX512VL,\
                        -AVX_Fast_Unaligned_Load,-BMI1,-BMI2,-ERMS,-FSRM,-LZCNT,-MOVBE,-POPCNT,-RTM,-SSE4_1,\
                        -SSE4_2,-SSSE3";

/// Debian's valgrind, unpacked, and the program.
pub(super) struct Callgrind {
    valgrind: PathBuf,
    program: PathBuf,
    /// Folder of callgrind's output, for callgrind_annotate.
    folder: PathBuf,
}

impl Callgrind {
    /// Downloads valgrind and builds the program.
    pub(super) fn prepare(project: &Project) -> Result<Self> {
        let valgrind = packages::unpacked(project, "valgrind", "valgrind")?;
        let folder = project.target.join("instructions");
        let program = build(project, &folder.join("build"))?;
        Ok(Self {
            valgrind,
            program,
            folder,
        })
    }

    /// Returns the names of the workloads.
    pub(super) fn workloads(&self) -> Result<Vec<String>> {
        let names = shell::output::<&str>(&self.program.to_string_lossy(), &[])?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Counts the instructions of the workload `name`.
    ///
    /// # Errors
    /// When the workload or callgrind fails. The error names the workload.
    pub(super) fn count(&self, name: &str) -> Result<u64> {
        let out = self
            .folder
            .join(format!("{}.callgrind", name.replace('/', "-")));
        let output = self
            .command()
            .args(["--tool=callgrind", &format!("--toggle-collect={COUNTED}")])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&self.program)
            .arg(name)
            .output()
            .context(|| format!("starting valgrind for workload {name}"))?;
        if !output.status.success() {
            return Err(Error::new(format!(
                "workload {name} under callgrind ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        total(&files::read(&out)?).ok_or_else(|| {
            Error::new(format!(
                "callgrind counted nothing of workload {name}: does the program still have {COUNTED}?"
            ))
        })
    }

    /// Returns names and versions of the tools that determine machine code, and of the counter.
    pub(super) fn tools(&self) -> Result<BTreeMap<String, String>> {
        let valgrind = self
            .command()
            .arg("--version")
            .output()
            .context(|| "starting valgrind")?;
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let rustc = shell::output(&rustc.to_string_lossy(), &["--version"])?;
        // Other distributions than Debian have no version to query.
        let libc = shell::output("dpkg-query", &["-W", "-f", "${Version}", "libc6-dev"]);
        let tools = [
            ("libc6-dev", libc.unwrap_or_else(|_| "unknown".to_owned())),
            ("rustc", rustc),
            (
                "valgrind",
                String::from_utf8_lossy(&valgrind.stdout).into_owned(),
            ),
        ];
        Ok(tools
            .map(|(name, version)| (name.to_owned(), version_of(name, &version)))
            .into())
    }

    /// Returns the command with a minimal environment: the caller's would be on the program's
    /// stack.
    fn command(&self) -> Command {
        let mut command = Command::new(self.valgrind.join("usr/bin/valgrind.bin"));
        command
            .env_clear()
            .env("VALGRIND_LIB", self.valgrind.join("usr/libexec/valgrind"))
            .env("GLIBC_TUNABLES", TUNABLES)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }
}

/// Compiles the program like the released ones, but with the names of its functions. It is static,
/// so that the loader and its symbol binding add no instructions.
fn build(project: &Project, directory: &Path) -> Result<PathBuf> {
    say("building the program whose instructions are counted");
    let target = image::target();
    let mut command = project.cargo();
    command
        .args(["build", "--quiet", "--release", "--target", &target])
        .args(["--package", "workloads", "--bin", "hot", "--target-dir"])
        .arg(directory)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            image::static_flags(project).join("\x1f"),
        )
        .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    project::build(&mut command, "the program `hot` of workloads")?;
    Ok(directory.join(target).join("release/hot"))
}

/// Returns the total in callgrind's output, or none if it counted nothing.
fn total(text: &str) -> Option<u64> {
    let number = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    number.trim().parse().ok().filter(|total| *total > 0)
}

/// Returns `1.95.0 (…)` of `rustc 1.95.0 (…)`, `3.19.0` of `valgrind-3.19.0`.
fn version_of(name: &str, text: &str) -> String {
    let text = text.trim();
    let rest = text.strip_prefix(name).unwrap_or(text);
    rest.trim_start_matches([' ', '-']).to_owned()
}
