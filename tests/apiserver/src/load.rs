//! Loads manifests.

use crate::server::Inner;
use crate::status::ApiError;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Reason for which manifests could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file is neither YAML nor JSON.
    #[error("failed to parse {}", path.display())]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// Place and cause.
        source: Box<serde_saphyr::Error>,
    },
    /// An object has a kind that is not served.
    #[error("failed to load an object from {}", path.display())]
    Refused {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: Box<ApiError>,
    },
}

/// Stores the objects of a file, which may have several documents and lists.
pub(crate) fn load(server: &Inner, path: &Path) -> Result<(), LoadError> {
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| LoadError::Parse {
            path: path.to_owned(),
            source: Box::new(error),
        })?;
    documents
        .into_iter()
        .try_for_each(|document| put(server, document))
        .map_err(|error| LoadError::Refused {
            path: path.to_owned(),
            source: Box::new(error),
        })
}

fn put(server: &Inner, mut document: Value) -> Result<(), ApiError> {
    if let Some(items) = document.get_mut("items").and_then(Value::as_array_mut) {
        return std::mem::take(items)
            .into_iter()
            .try_for_each(|item| put(server, item));
    }
    if document.is_null() {
        return Ok(());
    }
    server.put(document).map(drop)
}
