use super::*;

#[test]
fn no_hardware_virtualisation_without_the_flag() {
    assert_eq!(
        accelerator("flags\t\t: fpu sse2 vmx_like\n")[1],
        "tcg,thread=multi"
    );
    assert_eq!(
        accelerator("model name\t: svm vmx\n")[1],
        "tcg,thread=multi"
    );
}

#[test]
fn the_kernel_behind_the_metapackage() {
    let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
    assert_eq!(
        dependency(text).as_deref(),
        Some("linux-image-6.1.0-56-cloud-amd64")
    );
    assert_eq!(dependency(""), None);
    assert_eq!(dependency("x\n  Depends: init\n"), None);
}
