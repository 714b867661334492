//! VirtualServers as files.

use serde::Serialize;
use sources::virtual_server::Manifest;

use super::{print_json, write, yaml_document};
use crate::error::Error;

/// A list of objects, as `kubectl` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    api_version: &'static str,
    kind: &'static str,
    items: &'a [Manifest],
}

/// Prints one YAML document for each object.
pub(crate) fn yaml(manifests: &[Manifest]) -> Result<(), Error> {
    for manifest in manifests {
        write(&document(manifest)?)?;
    }
    Ok(())
}

/// Returns an object as a document in a stream of YAML.
///
/// # Errors
///
/// The object cannot be encoded.
pub fn document(manifest: &Manifest) -> Result<String, Error> {
    Ok(format!("---\n{}", yaml_document(manifest)?))
}

/// Prints a JSON object of kind List.
pub(crate) fn json(manifests: &[Manifest]) -> Result<(), Error> {
    print_json(&List {
        api_version: "v1",
        kind: "List",
        items: manifests,
    })
}
