//! Manifests.

use crate::admission::Part;
use crate::cluster::{Cluster, WriteOptions};
use crate::object::Object;
use crate::resource::Resource;
use crate::server::place;
use crate::status::ApiError;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why manifests could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is neither YAML nor JSON.
    #[error("failed to parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
    /// The server refuses an object.
    #[error("failed to load {object} from {}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Kind, namespace and name.
        object: String,
        /// Why.
        source: Box<ApiError>,
    },
}

/// Reads manifests without loading them: the objects in order, lists unpacked.
///
/// # Errors
/// The first file that cannot be read or parsed.
pub fn read_manifests(paths: &[impl AsRef<Path>]) -> Result<Vec<(PathBuf, Value)>, LoadError> {
    let mut out = Vec::new();
    for path in paths {
        for path in files(path.as_ref())? {
            let text = std::fs::read_to_string(&path).map_err(|source| LoadError::Read {
                path: path.clone(),
                source,
            })?;
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&text).map_err(|e| LoadError::Parse {
                    path: path.clone(),
                    source: Box::new(e),
                })?;
            for document in documents {
                unpack(document, &mut |object| out.push((path.clone(), object)));
            }
        }
    }
    Ok(out)
}

pub(crate) fn load(cluster: &Cluster, paths: &[impl AsRef<Path>]) -> Result<usize, LoadError> {
    let mut objects = read_manifests(paths)?;
    objects.sort_by_key(|(_, object)| object["kind"] != "Namespace");
    let count = objects.len();
    for (path, object) in objects {
        let metadata = &object["metadata"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let name = format!(
            "{} {}/{}",
            text(&object["kind"]),
            text(&metadata["namespace"]),
            text(&metadata["name"])
        );
        put(cluster, object).map_err(|e| LoadError::Refused {
            path,
            object: name,
            source: Box::new(e),
        })?;
    }
    Ok(count)
}

/// Creates or replaces an object, then its status.
pub(crate) fn put(cluster: &Cluster, mut object: Value) -> Result<Arc<Object>, ApiError> {
    let (api, key) = place(&object)?;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "managedFields",
            "selfLink",
        ] {
            metadata.remove(field);
        }
    }
    let status = object["status"].clone();
    let fresh = object.clone();
    let main = WriteOptions::default();
    let written = if key.name.is_empty() {
        cluster.create(api, &key.namespace, fresh, main)?
    } else {
        cluster.modify(api, &key, main, |_| Ok(fresh))?.0
    };
    // Only these two kinds drop the status that came with a main write.
    if !matches!(api.resource, Resource::Services | Resource::Nodes) || !status.is_object() {
        return Ok(written);
    }
    let part = WriteOptions {
        part: Part::Status,
        ..main
    };
    let with_status = |old: Option<&Value>| {
        let mut new = old
            .cloned()
            .ok_or_else(|| ApiError::not_found(api.group, api.plural, &key.name))?;
        new["status"] = status;
        Ok(new)
    };
    Ok(cluster.modify(api, &written.key, part, with_status)?.0)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut out = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let known = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if known && path.is_file() {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

fn unpack(document: Value, out: &mut impl FnMut(Value)) {
    match document {
        Value::Null => {}
        Value::Object(mut map) if map.get("items").is_some_and(Value::is_array) => {
            if let Some(Value::Array(items)) = map.remove("items") {
                for item in items {
                    unpack(item, out);
                }
            }
        }
        object => out(object),
    }
}
