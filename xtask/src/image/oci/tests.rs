use serde_json::{Value, json};

use super::super::layer::{Digest, Layer};
use super::super::tree::Tree;
use super::{About, ENTRYPOINT, archive, files};

fn about() -> About {
    About {
        version: "1.2.3".to_owned(),
        commit: Some("61d79ca".to_owned()),
        repository: "https://example.org/kube-ipvs".to_owned(),
        time: 86_400,
    }
}

fn layers() -> [Layer; 2] {
    ["lower", "upper"].map(|name| {
        let mut tree = Tree::default();
        tree.file(name, 0o644, name);
        Layer::new(name, &tree, 0).expect("a layer")
    })
}

/// An image layout, read as a runtime reads it: each step by digest and size.
struct Read {
    index: Value,
    manifest: Value,
    configuration: Value,
}

fn read(files: &std::collections::BTreeMap<String, Vec<u8>>) -> Read {
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let hex = digest.strip_prefix("sha256:").expect("SHA-256");
        let bytes = &files[&format!("blobs/sha256/{hex}")];
        assert_eq!(Digest::of(bytes).to_string(), digest);
        assert_eq!(descriptor["size"], bytes.len());
        bytes.clone()
    };
    let index = json(&files["index.json"]);
    let manifest = json(&blob(&index["manifests"][0]));
    let configuration = json(&blob(&manifest["config"]));
    for layer in manifest["layers"].as_array().expect("layers") {
        blob(layer);
    }
    Read {
        index,
        manifest,
        configuration,
    }
}

#[test]
fn every_descriptor_leads_to_its_blob() {
    let files = files(&layers(), &about()).expect("files");
    let image = read(&files);
    assert_eq!(image.manifest["layers"].as_array().map(Vec::len), Some(2));
    // Layers, configuration and manifest, and nothing else.
    let blobs = files.keys().filter(|name| name.starts_with("blobs/"));
    assert_eq!(blobs.count(), 4);
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn layers_keep_their_order() {
    let layers = layers();
    let image = read(&files(&layers, &about()).expect("files"));
    let digests = |of: fn(&Layer) -> String| layers.iter().map(of).collect::<Vec<_>>();
    let listed: Vec<&Value> = (image.manifest["layers"].as_array().into_iter().flatten())
        .map(|layer| &layer["digest"])
        .collect();
    let listed: Vec<&str> = listed
        .into_iter()
        .filter_map(serde_json::Value::as_str)
        .collect();
    assert_eq!(listed, digests(|layer| layer.digest.to_string()));
    assert_eq!(
        image.configuration["rootfs"]["diff_ids"],
        json!(digests(|layer| layer.diff.to_string()))
    );
}

#[test]
fn the_daemon_is_the_entrypoint() {
    let image = read(&files(&layers(), &about()).expect("files"));
    let config = &image.configuration["config"];
    assert_eq!(config["Entrypoint"], json!([ENTRYPOINT]));
    assert_eq!(config["WorkingDir"], "/");
    assert_eq!(image.configuration["os"], "linux");
    assert_eq!(image.configuration["created"], "1970-01-02T00:00:00Z");
    assert_eq!(
        config["Labels"]["org.opencontainers.image.version"],
        "1.2.3"
    );
}

#[test]
fn the_tag_is_the_version() {
    let files = files(&layers(), &about()).expect("files");
    let annotations = &read(&files).index["manifests"][0]["annotations"];
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "1.2.3");
    let docker: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    assert_eq!(
        docker[0]["RepoTags"],
        json!(["ghcr.io/kube-ipvs/kube-ipvs:1.2.3"])
    );
}

#[test]
fn dockers_manifest_names_the_same_blobs() {
    let files = files(&layers(), &about()).expect("files");
    let docker: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    let configuration = &docker[0]["Config"];
    let layers = docker[0]["Layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 2);
    for name in layers.iter().chain([configuration]) {
        assert!(files.contains_key(name.as_str().expect("a name")), "{name}");
    }
}

#[test]
fn the_archive_has_the_same_bytes_again() {
    let [first, second] = [(); 2].map(|()| {
        let files = files(&layers(), &about()).expect("files");
        archive(&files, 0).expect("an archive")
    });
    assert_eq!(first, second);
}
