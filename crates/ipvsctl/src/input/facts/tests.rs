use std::net::SocketAddr;

use super::metrics_addresses;

fn check(configured: Option<&str>, expected: &[&str]) {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let expected: Vec<SocketAddr> = expected.iter().map(|text| address(text)).collect();
    assert_eq!(metrics_addresses(configured.map(address)), expected);
}

#[test]
fn proxies_are_asked_where_they_may_listen_each_once() {
    let untold = "127.0.0.1:10249";
    check(None, &[untold]);
    check(Some("127.0.0.1:10249"), &[untold]);
    check(Some("0.0.0.0:10249"), &[untold]);
    check(Some("[::]:10249"), &["[::1]:10249"]);
    check(Some("[::]:20249"), &["[::1]:20249", untold]);
    check(Some("192.0.2.7:10249"), &["192.0.2.7:10249", untold]);
}
