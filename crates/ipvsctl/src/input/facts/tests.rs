use std::net::SocketAddr;

use super::metrics_addresses;

fn check(configured: Option<&str>, expected: &[&str]) {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let expected: Vec<SocketAddr> = expected.iter().map(|text| address(text)).collect();
    assert_eq!(metrics_addresses(configured.map(address)), expected);
}

#[test]
fn each_possible_listener_is_asked_once() {
    let default = "127.0.0.1:10249";
    check(None, &[default]);
    check(Some("127.0.0.1:10249"), &[default]);
    check(Some("0.0.0.0:10249"), &[default]);
    check(Some("[::]:10249"), &["[::1]:10249"]);
    check(Some("[::]:20249"), &["[::1]:20249", default]);
    check(Some("192.0.2.7:10249"), &["192.0.2.7:10249", default]);
}
