//! Finds the test programs that need the VM, and their executables.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::{Context, Error, Result};
use crate::project::{Project, list};
use crate::say::say;

/// Feature that marks a test target for the VM.
const FEATURE: &str = "vm";

/// Packages whose programs no VM test starts. QEMU guests hold all other programs in memory, as
/// initrd.
const NOT_STARTED: [&str; 5] = ["bench", "convergence", "fuzz", "scale", "workloads"];

/// A built test program.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VmTest {
    /// Package of the test.
    pub(crate) package: String,
    /// Name of the test target.
    pub(crate) target: String,
    /// Directory of the package, in which the program starts, as with `cargo test`.
    pub(crate) directory: PathBuf,
    /// Executable.
    pub(crate) executable: PathBuf,
    /// Requirements for the VM.
    pub(crate) needs: Needs,
}

/// The requirements in `[package.metadata.vm.TARGET]` of a package's Cargo.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needs {
    /// `without-modules`: modules that the kernel must not have.
    pub(crate) without_modules: Vec<String>,
    /// `packages`: Debian packages beside those of every guest.
    pub(crate) packages: Vec<String>,
    /// `memory-mib`: more memory than usual.
    pub(crate) memory_mib: Option<u64>,
    /// `timeout-seconds`: more time than usual.
    pub(crate) timeout_seconds: Option<u64>,
    /// `image`: the container image, whose path is in `E2E_IMAGE`.
    pub(crate) image: bool,
    /// `shards`: the number of guests among which the program's tests are divided, by `VM_SHARD`.
    pub(crate) shards: Option<u64>,
}

impl Needs {
    /// Reads the table. An unknown key is an error, because its requirement would not be met.
    fn read(package: &Value, target: &str) -> Result<Self> {
        let mut needs = Needs::default();
        let table = &package["metadata"]["vm"][target];
        for (key, value) in table.as_object().into_iter().flatten() {
            let wrong = || {
                Error::new(format!(
                    "package {}: metadata.vm.{target}.{key} is not understood",
                    package["name"]
                ))
            };
            let names = || {
                let names = value.as_array().ok_or_else(wrong)?.iter();
                let names = names.map(|name| name.as_str().ok_or_else(wrong).map(str::to_owned));
                names.collect::<Result<Vec<String>>>()
            };
            match key.as_str() {
                "without-modules" => {
                    let modules = names()?.into_iter().map(|name| name.replace('-', "_"));
                    needs.without_modules = modules.collect();
                }
                "packages" => needs.packages = names()?,
                "memory-mib" => needs.memory_mib = Some(value.as_u64().ok_or_else(wrong)?),
                "timeout-seconds" => {
                    needs.timeout_seconds = Some(value.as_u64().ok_or_else(wrong)?);
                }
                "image" => needs.image = value.as_bool().ok_or_else(wrong)?,
                "shards" => {
                    needs.shards = Some(value.as_u64().filter(|n| *n > 0).ok_or_else(wrong)?);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(needs)
    }
}

/// A test target that requires the feature.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    manifest: PathBuf,
    package: String,
    target: String,
    needs: Needs,
}

/// Result of a build for the VM.
pub(crate) struct Built {
    /// The test programs, by package and name.
    pub(crate) tests: BTreeSet<VmTest>,
    /// Programs of the workspace, which tests start as `$VM_BIN/NAME`.
    pub(crate) programs: BTreeSet<PathBuf>,
    /// Directory of the programs.
    pub(crate) directory: PathBuf,
}

/// Builds the whole workspace with the members' `vm` features.
pub(crate) fn build(project: &Project) -> Result<Built> {
    let wanted = wanted(project.packages())?;
    if wanted.is_empty() {
        return Err(Error::new(
            "no test target of the workspace requires the feature `vm`",
        ));
    }
    say("building the VM tests");
    let artifacts = cargo_json(
        project,
        &[
            "test",
            "--no-run",
            "--workspace",
            "--features",
            &features(project),
        ],
    )?;
    let tests = pick(wanted, &artifacts)?;
    let programs = programs_of(&artifacts);
    Ok(Built {
        directory: programs
            .first()
            .and_then(|path| path.parent())
            .map_or_else(|| project.target.join("debug"), Path::to_path_buf),
        tests,
        programs,
    })
}

/// Returns the members' `vm` features, for cargo. Every step that builds tests enables them, so
/// that shared crates are built once.
pub(crate) fn features(project: &Project) -> String {
    let features: Vec<String> = project
        .packages()
        .filter(|package| package["features"].get(FEATURE).is_some())
        .filter_map(|package| Some(format!("{}/{FEATURE}", package["name"].as_str()?)))
        .collect();
    features.join(",")
}

/// Returns the names of the test targets that run on the host.
///
/// # Errors
/// When a test target for the VM has the same name as one of them: cargo selects test targets by
/// name alone.
pub(crate) fn host_tests<'a>(
    packages: impl Iterator<Item = &'a Value>,
) -> Result<BTreeSet<String>> {
    let (mut host, mut vm) = (BTreeSet::new(), BTreeSet::new());
    for package in packages {
        for target in list(&package["targets"]) {
            let name = target["name"].as_str().unwrap_or_default().to_owned();
            let required = &target["required-features"];
            let is_test = contains(&target["kind"], "test");
            if is_test && contains(required, FEATURE) {
                vm.insert(name);
            } else if is_test && required.as_array().is_none_or(Vec::is_empty) {
                host.insert(name);
            }
        }
    }
    match host.intersection(&vm).next() {
        Some(name) => Err(Error::new(format!(
            "two test targets are named {name}, and only one of them needs the VM; no test was run: rename one"
        ))),
        None => Ok(host),
    }
}

/// Returns the test targets that require the feature.
fn wanted<'a>(packages: impl Iterator<Item = &'a Value>) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for package in packages {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for target in list(&package["targets"]) {
            let needs_vm = contains(&target["required-features"], FEATURE);
            if needs_vm && contains(&target["kind"], "test") {
                let name = text(&target["name"]);
                all.push(Wanted {
                    manifest: text(&package["manifest_path"]).into(),
                    package: text(&package["name"]),
                    needs: Needs::read(package, &name)?,
                    target: name,
                });
            }
        }
    }
    Ok(all)
}

/// Returns the wanted targets among cargo's artifacts.
fn pick(wanted: Vec<Wanted>, artifacts: &[Value]) -> Result<BTreeSet<VmTest>> {
    wanted
        .into_iter()
        .map(|wanted| {
            let executable = artifacts
                .iter()
                .filter(|artifact| {
                    artifact["manifest_path"].as_str().map(Path::new) == Some(&wanted.manifest)
                })
                .filter(|artifact| artifact["target"]["name"] == *wanted.target)
                .filter(|artifact| contains(&artifact["target"]["kind"], "test"))
                .find_map(|artifact| artifact["executable"].as_str());
            let executable = executable.ok_or_else(|| {
                Error::new(format!(
                    "cargo built no program for the test {} of {}",
                    wanted.target, wanted.package
                ))
            })?;
            let directory = wanted.manifest.parent();
            Ok(VmTest {
                directory: directory.map(Path::to_path_buf).unwrap_or_default(),
                executable: executable.into(),
                package: wanted.package,
                target: wanted.target,
                needs: wanted.needs,
            })
        })
        .collect()
}

fn programs_of(artifacts: &[Value]) -> BTreeSet<PathBuf> {
    artifacts
        .iter()
        .filter(|artifact| contains(&artifact["target"]["kind"], "bin"))
        .filter(|artifact| artifact["profile"]["test"] == false)
        .filter(|artifact| artifact["target"]["name"] != env!("CARGO_PKG_NAME"))
        .filter(|artifact| !NOT_STARTED.iter().any(|name| is_of(artifact, name)))
        .filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
        .collect()
}

/// Returns true if an artifact is of the member `package`, whose directory has its name.
fn is_of(artifact: &Value, package: &str) -> bool {
    let manifest = artifact["manifest_path"].as_str().map(Path::new);
    let directory = manifest.and_then(Path::parent);
    directory.is_some_and(|directory| directory.ends_with(package))
}

fn contains(words: &Value, word: &str) -> bool {
    list(words).any(|item| item == word)
}

fn cargo_json(project: &Project, arguments: &[&str]) -> Result<Vec<Value>> {
    let output = project
        .cargo()
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context(|| "starting cargo")?;
    if !output.status.success() {
        return Err(Error::new(format!(
            "`cargo {}` failed",
            arguments.join(" ")
        )));
    }
    let lines = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let messages: std::result::Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
    Ok(messages
        .context(|| "reading cargo's messages")?
        .into_iter()
        .filter(|message| message["reason"] == "compiler-artifact")
        .collect())
}
