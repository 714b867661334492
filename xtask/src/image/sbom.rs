//! The software bill of materials: every crate and Debian package in the image.
//!
//! Source: CycloneDX 1.6, JSON; package URLs (purl) of cargo and deb.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use super::dependencies::Dependency;

/// Name and version of the product.
pub(crate) struct Product<'a> {
    /// Version of the programs.
    pub(crate) version: &'a str,
    /// Name of the architecture in Debian and Go, such as `amd64`.
    pub(crate) architecture: &'a str,
}

/// Returns the bill of materials. It has no time and no random number, so that the same sources and
/// packages give the same bytes.
pub(crate) fn document(
    product: &Product<'_>,
    crates: &BTreeSet<Dependency>,
    packages: &BTreeMap<String, String>,
) -> Value {
    let Product {
        version,
        architecture,
    } = product;
    let crates = crates.iter().map(|dependency| {
        let Dependency {
            name,
            version,
            license,
            ..
        } = dependency;
        let url = format!("pkg:cargo/{name}@{version}");
        let mut component = component(&url, name, version);
        if !license.is_empty() {
            // Older crates separate alternatives by a slash.
            let license = license.replace('/', " OR ");
            component["licenses"] = json!([{ "expression": license }]);
        }
        component
    });
    let packages = packages.iter().map(|(name, version)| {
        let encoded = version.replace('+', "%2B").replace(':', "%3A");
        let url = format!("pkg:deb/debian/{name}@{encoded}?arch={architecture}");
        component(&url, name, version)
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "kube-ipvs",
                "name": "kube-ipvs",
                "version": version,
                "licenses": [{ "expression": "Apache-2.0" }],
            },
        },
        "components": crates.chain(packages).collect::<Vec<_>>(),
    })
}

fn component(url: &str, name: &str, version: &str) -> Value {
    json!({
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
    })
}
