use super::NoProxy;

/// Checks that the `NO_PROXY` `text` matches the servers `direct` and not the servers `by_proxy`.
#[track_caller]
fn check(text: &str, direct: &[(&str, u16)], by_proxy: &[(&str, u16)]) {
    let no_proxy = NoProxy::parse(text);
    for (servers, expected) in [(direct, true), (by_proxy, false)] {
        for (host, port) in servers {
            assert_eq!(
                no_proxy.has(host, *port),
                expected,
                "`{text}` {host}:{port}"
            );
        }
    }
}

#[test]
fn an_item_may_have_a_port() {
    check(
        "example.com:6443",
        &[("example.com", 6443), ("api.example.com", 6443)],
        &[("example.com", 443), ("notexample.com", 6443)],
    );
    check(
        "10.0.0.1:443",
        &[("10.0.0.1", 443)],
        &[("10.0.0.1", 6443), ("10.0.0.2", 443)],
    );
    check(
        "[fd00::1]:443",
        &[("fd00::1", 443)],
        &[("fd00::1", 6443), ("fd00::2", 443)],
    );
    check(
        ".example.com:6443",
        &[("api.example.com", 6443)],
        &[("example.com", 6443)],
    );
    // An empty port matches every port; a service name matches none.
    check("example.com:", &[("example.com", 6443)], &[]);
    check("example.com:https", &[], &[("example.com", 443)]);
}

#[test]
fn an_address_matches_only_itself() {
    check(
        "10.96.0.1",
        &[("10.96.0.1", 1), ("::ffff:10.96.0.1", 2)],
        &[("10.96.0.10", 1)],
    );
    check("::ffff:10.96.0.1", &[("10.96.0.1", 1)], &[]);
    check(
        "fd00::1",
        &[("fd00::1", 443), ("fd00:0::1", 443)],
        &[("fd00::11", 443)],
    );
    // Brackets are valid only with a port.
    check("[fd00::1]", &[], &[("fd00::1", 443)]);
}

#[test]
fn a_network_matches_its_addresses_at_every_port() {
    check(
        "10.96.0.1/12,fd00::/8",
        &[("10.111.0.1", 443), ("fd00::1", 443)],
        &[("10.112.0.1", 443), ("fe80::1", 443), ("example.com", 443)],
    );
    check("10.0.0.0/33", &[], &[("10.0.0.0", 443)]);
    check("10.0.0.0/255.0.0.0", &[], &[("10.0.0.0", 443)]);
}

#[test]
fn a_domain_matches_its_subdomains() {
    let below = ("api.example.com", 443);
    check(
        "example.com",
        &[("example.com", 443), below, ("API.Example.COM", 443)],
        &[("xexample.com", 443)],
    );
    check("Example.com", &[below], &[]);
    for below_alone in [".example.com", "*.example.com"] {
        check(below_alone, &[below], &[("example.com", 443)]);
    }
    // A domain does not match an address.
    check("0.0.1", &[], &[("10.0.0.1", 443)]);
}

#[test]
fn an_asterisk_matches_everything() {
    let servers = [("example.com", 443), ("10.0.0.1", 6443), ("fd00::1", 1)];
    check("*", &servers, &[]);
    check(" x , * ,", &servers, &[]);
    check("*.com", &[("example.com", 1)], &[("10.0.0.1", 6443)]);
}

#[test]
fn invalid_items_are_skipped() {
    for text in [
        "", " ", ",", " , ,", ":443", "[]:443", "a:b:c", "[a", "a]:1",
    ] {
        check(
            text,
            &[],
            &[("example.com", 443), ("10.0.0.1", 443), ("", 443)],
        );
    }
    for text in [
        "a,,b, 10.0.0.1 ,",
        ",10.0.0.1",
        "10.0.0.1,",
        ":443,10.0.0.1:443",
    ] {
        check(text, &[("10.0.0.1", 443)], &[("example.com", 443)]);
    }
}
