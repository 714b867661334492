use super::virtual_server;

#[test]
fn printed_virtual_servers_parse_back() {
    for text in [
        "10.96.0.10:80/TCP",
        "[fd00::10]:53/UDP",
        "10.96.0.10:80/SCTP",
        "fwmark 7 (IPv6)",
    ] {
        let key = virtual_server(text).map(|key| key.to_string());
        assert_eq!(key.as_deref(), Ok(text));
    }
    for text in [
        "",
        "10.96.0.10",
        "10.96.0.10:80",
        "10.96.0.10:80/ICMP",
        "fwmark 0 (IPv4)",
        "fwmark 7",
    ] {
        assert!(virtual_server(text).is_err(), "{text}");
    }
}
