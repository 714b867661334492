use super::*;

#[track_caller]
fn check(server: &str, environment: &[(&str, &str)], proxy: Option<&str>) {
    let variable = |name: &str| {
        let found = environment.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let server: Uri = server.parse().expect("a URL");
    let found = of_environment(&server, variable);
    assert_eq!(found.as_deref(), proxy, "{server} {environment:?}");
}

const SERVER: &str = "https://api.example.com:6443";
const PROXY: &str = "http://proxy:3128";

#[test]
fn the_scheme_selects_the_variable() {
    let both = [("HTTPS_PROXY", PROXY), ("HTTP_PROXY", "http://other:80")];
    check(SERVER, &both, Some(PROXY));
    check("http://10.0.0.1:8080", &both, Some("http://other:80"));
    check(SERVER, &both[1..], None);
    check("http://10.0.0.1:8080", &both[..1], None);
    check(SERVER, &[], None);
    // Go ignores this variable.
    check(SERVER, &[("ALL_PROXY", PROXY), ("all_proxy", PROXY)], None);
}

#[test]
fn lowercase_names_apply_if_uppercase_ones_are_not_set() {
    check(SERVER, &[("https_proxy", PROXY)], Some(PROXY));
    check(
        "http://10.0.0.1",
        &[("http_proxy", PROXY), ("https_proxy", "http://other:80")],
        Some(PROXY),
    );
    check(
        SERVER,
        &[("HTTPS_PROXY", ""), ("https_proxy", PROXY)],
        Some(PROXY),
    );
    check(SERVER, &[("HTTPS_PROXY", PROXY), ("no_proxy", "*")], None);
    let other = [("HTTPS_PROXY", PROXY), ("NO_PROXY", "x"), ("no_proxy", "*")];
    check(SERVER, &other, Some(PROXY));
}

#[test]
fn a_proxy_without_a_scheme_is_an_http_proxy() {
    for (given, expected) in [
        ("proxy:3128", "http://proxy:3128"),
        ("10.0.0.9", "http://10.0.0.9"),
        ("https://proxy", "https://proxy"),
        ("socks5://user:word@proxy", "socks5://user:word@proxy"),
        ("socks5h://proxy:1080", "socks5://proxy:1080"),
    ] {
        check(SERVER, &[("HTTPS_PROXY", given)], Some(expected));
    }
}

/// A URL without a port has the default port of its scheme. Brackets are not part of an address.
#[test]
fn no_proxy_is_compared_with_host_and_port_of_the_url() {
    for (server, no_proxy, direct) in [
        (SERVER, "example.com:6443", true),
        (SERVER, "example.com:443", false),
        ("https://api.example.com", "example.com:443", true),
        ("https://API.example.com/prefix", ".example.com:443", true),
        ("http://api.example.com", "example.com:80", true),
        ("http://api.example.com", "example.com:443", false),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", true),
        ("https://[fd00::1]", "fd00::1", true),
        ("https://10.96.0.1:443", "x,,10.96.0.0/12,", true),
    ] {
        let environment = [
            ("HTTPS_PROXY", PROXY),
            ("HTTP_PROXY", PROXY),
            ("NO_PROXY", no_proxy),
        ];
        check(server, &environment, (!direct).then_some(PROXY));
    }
}

#[test]
fn loopback_servers_use_no_proxy() {
    for server in [
        "https://localhost:6443",
        "https://127.0.0.1",
        "https://[::1]:6443",
        "https://[::ffff:127.0.0.1]:6443",
    ] {
        check(server, &[("HTTPS_PROXY", PROXY)], None);
    }
}
