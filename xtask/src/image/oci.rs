//! Writes layers as an OCI image: configuration, manifest, and the files of an image layout.
//!
//! Source: OCI image-spec 1.1, `config.md`, `manifest.md` and `image-layout.md`. The archive has
//! Docker's `manifest.json` too, for `docker load` before version 25.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::layer::{self, Digest, Layer};
use super::tree::Tree;
use crate::error::{Context, Result};

/// Repository of the published image, without a tag.
pub(crate) const NAME: &str = "ghcr.io/kube-ipvs/kube-ipvs";

/// `PATH` of the image.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Default program of the image.
pub(crate) const ENTRYPOINT: &str = "/usr/local/bin/kube-ipvsd";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Metadata of the image.
pub(crate) struct About {
    /// Version of the project, used as the tag.
    pub(crate) version: String,
    /// Commit of the sources; `None` if it is unknown.
    pub(crate) commit: Option<String>,
    /// Repository of the sources.
    pub(crate) repository: String,
    /// Creation time in seconds since 1970.
    pub(crate) time: u64,
}

/// Returns the files of an image layout, by path.
pub(crate) fn files(layers: &[Layer], about: &About) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut blob = |bytes: Vec<u8>| {
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        files.insert(format!("blobs/sha256/{}", digest.hex()), bytes);
        (digest, size)
    };
    for layer in layers {
        blob(layer.compressed.clone());
    }
    let configuration = blob(text(&configuration(layers, about)?));
    let docker = docker(&configuration.0, layers, about);
    let manifest = blob(text(&manifest(&configuration, layers)));
    let index = index(&manifest, about);
    files.insert("index.json".to_owned(), text(&index));
    files.insert("manifest.json".to_owned(), text(&docker));
    let layout = json!({ "imageLayoutVersion": "1.0.0" });
    files.insert("oci-layout".to_owned(), text(&layout));
    Ok(files)
}

/// Returns the layout as one archive.
pub(crate) fn archive(files: &BTreeMap<String, Vec<u8>>, time: u64) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    for (path, bytes) in files {
        tree.file(path, 0o644, bytes.clone());
    }
    layer::archive(&tree, time)
}

/// Returns Go's name for this processor architecture.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn configuration(layers: &[Layer], about: &About) -> Result<Value> {
    let created = rfc3339(about.time)?;
    let diffs: Vec<String> = layers.iter().map(|layer| layer.diff.to_string()).collect();
    let history = layers.iter().map(|layer| {
        json!({ "created": created, "created_by": "cargo xtask image", "comment": layer.name })
    });
    Ok(json!({
        "created": created,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": [ENTRYPOINT],
            "Env": [format!("PATH={PATH}")],
            "WorkingDir": "/",
            "Labels": labels(about),
        },
        "rootfs": { "type": "layers", "diff_ids": diffs },
        "history": history.collect::<Vec<_>>(),
    }))
}

fn labels(about: &About) -> Value {
    let mut labels = json!({
        "org.opencontainers.image.title": "kube-ipvs",
        "org.opencontainers.image.description":
            "Kubernetes service proxy on Linux IPVS: kube-ipvsd and ipvsctl",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.source": about.repository,
        "org.opencontainers.image.version": about.version,
    });
    if let Some(commit) = &about.commit {
        labels["org.opencontainers.image.revision"] = json!(commit);
    }
    labels
}

fn manifest(configuration: &(Digest, usize), layers: &[Layer]) -> Value {
    let layers = layers
        .iter()
        .map(|layer| descriptor(LAYER, &layer.digest, layer.compressed.len()));
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIGURATION, &configuration.0, configuration.1),
        "layers": layers.collect::<Vec<_>>(),
    })
}

fn index(manifest: &(Digest, usize), about: &About) -> Value {
    let mut manifest = descriptor(MANIFEST, &manifest.0, manifest.1);
    manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    // The first is the specification's; containerd's import reads the second.
    manifest["annotations"] = json!({
        "org.opencontainers.image.ref.name": about.version,
        "io.containerd.image.name": format!("{NAME}:{}", about.version),
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    })
}

fn docker(configuration: &Digest, layers: &[Layer], about: &About) -> Value {
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<String> = layers.iter().map(|layer| blob(&layer.digest)).collect();
    json!([{
        "Config": blob(configuration),
        "RepoTags": [format!("{NAME}:{}", about.version)],
        "Layers": layers,
    }])
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
}

fn rfc3339(seconds: u64) -> Result<String> {
    i64::try_from(seconds)
        .context(|| "the image's time")
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).context(|| "the image's time"))
        .map(|time| time.to_string())
}

/// Serialises with sorted keys: serde_json's maps are `BTreeMap`s.
fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
