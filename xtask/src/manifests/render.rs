//! Renders kustomizations with `kubectl kustomize`, and the chart with `helm template`.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tools::Tools;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;

/// A kustomization as a user writes it, beside a checkout of the project.
pub(super) struct Kustomization<'a> {
    /// Folders below `manifests/` under `resources`.
    pub(super) resources: &'a [&'a str],
    /// Folders below `manifests/` under `components`.
    pub(super) components: &'a [&'a str],
    pub(super) namespace: &'a str,
    /// Address of the API server, if it is replaced.
    pub(super) host: Option<&'a str>,
}

/// The programs and a directory for working files.
pub(super) struct Renderer<'a> {
    tools: &'a Tools,
    manifests: PathBuf,
    pub(super) directory: PathBuf,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(project: &Project, tools: &'a Tools) -> Self {
        Renderer {
            tools,
            manifests: project.root.join("manifests"),
            directory: project.vm(format!("manifests-{}", std::process::id())),
        }
    }

    /// Returns the path of a file below `manifests/`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.manifests.join(name)
    }

    /// Returns the objects of a kustomization, which is written to the directory `name`.
    pub(super) fn kustomize(&self, name: &str, wanted: &Kustomization) -> Result<Vec<Value>> {
        let directory = self.directory.join(name);
        files::create(&directory)?;
        // kustomize refuses absolute paths. The working directory is in `target/`, which may be
        // outside of the project.
        let links = directory.join("manifests");
        copy_tree(&self.manifests, &links)?;
        let below = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .map(|name| format!("./manifests/{name}"))
                .collect()
        };
        let mut document = json!({
            "namespace": wanted.namespace,
            "resources": below(wanted.resources),
            "components": below(wanted.components),
        });
        if let Some(host) = wanted.host {
            document["configMapGenerator"] = json!([{
                "name": "kube-ipvs-api-server",
                "behavior": "merge",
                "literals": [format!("host={host}")],
            }]);
        }
        files::write(&directory.join("kustomization.yaml"), document.to_string())?;
        let directory = directory.to_string_lossy().into_owned();
        parse(&run(&self.tools.kubectl, &["kustomize", &directory])?)
    }

    /// Returns the objects of the chart.
    pub(super) fn template(&self, namespace: &str, values: &[&str]) -> Result<Vec<Value>> {
        parse(&self.helm("template", namespace, values)?)
    }

    /// Runs `helm COMMAND` on the chart. A value is `NAME=VALUE`, or a file of `helm/values`.
    pub(super) fn helm(&self, command: &str, namespace: &str, values: &[&str]) -> Result<String> {
        let chart = self.path("helm/kube-ipvs").to_string_lossy().into_owned();
        let mut arguments = vec![command.to_owned()];
        if command == "template" {
            arguments.push("kube-ipvs".to_owned());
        }
        arguments.extend([chart, "--namespace".to_owned(), namespace.to_owned()]);
        for value in values {
            match value.contains('=') {
                true => arguments.extend(["--set".to_owned(), (*value).to_owned()]),
                false => {
                    let file = self.path(&format!("helm/values/{value}"));
                    let file = file.to_string_lossy().into_owned();
                    arguments.extend(["--values".to_owned(), file]);
                }
            }
        }
        if command == "lint" {
            arguments.push("--strict".to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&self.tools.helm, &arguments)
    }

    /// Returns an object after `kubectl patch --local`.
    pub(super) fn patch(&self, object: &Value, kind: &str, patch: &Path) -> Result<Value> {
        let file = self.directory.join("object.json");
        files::write(&file, object.to_string())?;
        let (file, patch) = (file.to_string_lossy(), patch.to_string_lossy());
        let arguments = [
            "patch",
            "--local",
            "--type",
            kind,
            "-f",
            &file,
            "--patch-file",
            &patch,
            "-o",
            "json",
        ];
        let output = run(&self.tools.kubectl, &arguments)?;
        serde_json::from_str(&output).context(|| "reading the answer of `kubectl patch`")
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result {
    for entry in files::entries(from)? {
        let target = to.join(entry.file_name().unwrap_or_default());
        match entry.is_dir() {
            true => copy_tree(&entry, &target)?,
            false => files::copy(&entry, &target)?,
        }
    }
    Ok(())
}

/// Runs a program that must not reach any cluster.
fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("HOME", std::env::temp_dir())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KUBECONFIG", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let (out, why) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        return Err(Error::new(format!("{name}: {}{}", out.trim(), why.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Parses the objects of a stream of YAML documents. Empty documents are left out.
fn parse(text: &str) -> Result<Vec<Value>> {
    let documents = serde_saphyr::from_multiple::<Value>(text)
        .map_err(|error| Error::new(format!("reading rendered objects: {error}")))?;
    Ok(documents
        .into_iter()
        .filter(|value| !value.is_null())
        .collect())
}
