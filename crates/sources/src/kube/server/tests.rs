use std::fs;

use tempfile::TempDir;

use super::ServerHost;

/// Checks host and port of `url`.
#[track_caller]
fn check_url(url: &str, expected: Option<&str>) {
    let host = ServerHost::of_url(url);
    assert_eq!(host.map(|host| host.to_string()).as_deref(), expected);
}

#[test]
fn a_url_names_host_and_port() {
    check_url("https://192.0.2.100:6443", Some("192.0.2.100:6443"));
    check_url(
        "https://192.0.2.100/k8s/clusters/c-1",
        Some("192.0.2.100:443"),
    );
    check_url("http://api.example", Some("api.example:80"));
    check_url("https://[2001:db8::1]:6443/", Some("[2001:db8::1]:6443"));
    check_url(
        "https://[::ffff:192.0.2.100]:6443",
        Some("[::ffff:192.0.2.100]:6443"),
    );
    check_url("/k8s", None);
    check_url("https://[", None);
}

#[test]
fn an_address_needs_no_resolver() {
    for (url, expected) in [
        ("https://192.0.2.100:6443", "192.0.2.100:6443"),
        ("https://[2001:db8::1]", "[2001:db8::1]:443"),
    ] {
        let host = ServerHost::of_url(url).expect("a host");
        let addresses = host.addresses().expect("an address");
        assert_eq!(addresses, [expected.parse().expect("a socket")]);
    }
}

#[track_caller]
fn check_kubeconfig(text: &str, expected: Option<&str>) {
    let folder = TempDir::new().expect("a temporary directory");
    let path = folder.path().join("config");
    fs::write(&path, text).expect("to write");
    let host = ServerHost::of_kubeconfig(&path).expect("a kubeconfig");
    assert_eq!(host.map(|host| host.to_string()).as_deref(), expected);
}

/// Certificates and credentials are not read, so they may be missing.
#[test]
fn a_kubeconfig_names_the_server_of_its_current_context() {
    let clusters = "clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443', certificate-authority: /gone}}, \
         {name: d, cluster: {server: 'https://10.0.0.2'}}]\n\
         contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: d, user: u}}]\n";
    check_kubeconfig(
        &format!("{clusters}current-context: a\n"),
        Some("10.0.0.1:6443"),
    );
    check_kubeconfig(
        &format!("{clusters}current-context: b\n"),
        Some("10.0.0.2:443"),
    );
    check_kubeconfig(&format!("{clusters}current-context: other\n"), None);
    check_kubeconfig(clusters, None);
    check_kubeconfig("{}", None);
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_an_error() {
    let error = ServerHost::of_kubeconfig("/nonexistent/config".as_ref());
    assert!(error.is_err(), "{error:?}");
}
