use super::*;

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
fn the_scheme_chooses_the_variable() {
    let both = [("HTTPS_PROXY", PROXY), ("HTTP_PROXY", "http://other:80")];
    check(SERVER, &both, Some(PROXY));
    check("http://10.0.0.1:8080", &both, Some("http://other:80"));
    check(SERVER, &both[1..], None);
    check(SERVER, &[("https_proxy", "proxy:3128")], Some(PROXY));
    check(
        SERVER,
        &[("HTTPS_PROXY", ""), ("https_proxy", PROXY)],
        Some(PROXY),
    );
    check(SERVER, &[], None);
}

#[test]
fn hosts_of_no_proxy_are_asked_directly() {
    let with = |no: &'static str| [("HTTPS_PROXY", PROXY), ("NO_PROXY", no)];
    for no in [
        "*",
        "example.com",
        ".example.com",
        "x, api.example.com",
        "x,,example.com,",
    ] {
        check(SERVER, &with(no), None);
    }
    check(SERVER, &with("ample.com"), Some(PROXY));
    check(
        "https://10.96.0.1:443",
        &with("10.96.0.0/12,fd00::/8"),
        None,
    );
    check("https://10.96.0.1:443", &with("10.96.0.1"), None);
    check("https://10.96.0.1:443", &with("10.97.0.0/16"), Some(PROXY));
    check(
        "https://[fd00::1]:443",
        &with("10.96.0.0/12,fd00::/8"),
        None,
    );
    check(SERVER, &[("HTTPS_PROXY", PROXY), ("no_proxy", "*")], None);
}

#[test]
fn this_machine_is_asked_directly() {
    for server in [
        "https://localhost:6443",
        "https://127.0.0.1",
        "https://[::1]:6443",
    ] {
        check(server, &[("HTTPS_PROXY", PROXY)], None);
    }
}
