use super::{Found, find};

const LIST: &str = "\
Package: bash
Filename: pool/main/b/bash.deb
SHA256: 00

Package: linux-image-6.12.57+deb13-cloud-amd64
Version: 6.12.57-1
Filename: pool/main/l/linux-signed-amd64/linux-image.deb
SHA256: c0ffee

Package: linux-image-cloud-amd64
Depends: linux-image-6.12.57+deb13-cloud-amd64 (= 6.12.57-1)
Filename: pool/main/l/linux-signed-amd64/meta.deb
SHA256: 11
";

#[test]
fn the_current_kernel_of_a_suite_is_found() {
    let found = Found {
        name: "linux-image-6.12.57+deb13-cloud-amd64".into(),
        path: "pool/main/l/linux-signed-amd64/linux-image.deb".into(),
        hash: "c0ffee".into(),
    };
    assert_eq!(find(LIST), Some(found));
}

#[test]
fn a_suite_without_kernel_is_an_error() {
    assert_eq!(find("Package: bash\nSHA256: 00\n"), None);
}
