//! VirtualServers as files.

use serde::Serialize;
use sources::virtual_server::Manifest;

use super::{print_json, print_yaml, write};
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
        write("---\n")?;
        print_yaml(manifest)?;
    }
    Ok(())
}

/// Prints a JSON object of kind List.
pub(crate) fn json(manifests: &[Manifest]) -> Result<(), Error> {
    print_json(&List {
        api_version: "v1",
        kind: "List",
        items: manifests,
    })
}
