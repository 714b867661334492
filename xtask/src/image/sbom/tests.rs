use serde_json::json;

use super::super::dependencies::Dependency;
use super::{Product, document};

#[test]
fn crates_and_packages_are_listed_with_their_urls() {
    let product = Product {
        version: "1.2.3+abc",
        architecture: "arm64",
    };
    let crates = [Dependency::new("libc", "0.2.1", "MIT/Apache-2.0")].into();
    let packages = [("iptables".to_owned(), "1:1.8.9-2+b1".to_owned())].into();
    let document = document(&product, &crates, &packages);
    assert_eq!(document["metadata"]["component"]["version"], "1.2.3+abc");
    assert_eq!(
        document["components"],
        json!([
            {
                "type": "library",
                "bom-ref": "pkg:cargo/libc@0.2.1",
                "name": "libc",
                "version": "0.2.1",
                "purl": "pkg:cargo/libc@0.2.1",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
            {
                "type": "library",
                "bom-ref": "pkg:deb/debian/iptables@1%3A1.8.9-2%2Bb1?arch=arm64",
                "name": "iptables",
                "version": "1:1.8.9-2+b1",
                "purl": "pkg:deb/debian/iptables@1%3A1.8.9-2%2Bb1?arch=arm64",
            },
        ])
    );
}
