use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// Flows with one endpoint each for 10.96.0.10:53 and fd00::10:53.
fn flows() -> UdpFlows {
    UdpFlows {
        served: [
            (at("10.96.0.10:53"), [at("10.1.0.1:5353")].into()),
            (at("[fd00::10]:53"), [at("[fd01::1]:5353")].into()),
        ]
        .into(),
    }
}

fn check(destination: &str, answered_by: &str, stale: bool) {
    let flow = Flow {
        destination: at(destination),
        answered_by: at(answered_by),
    };
    assert_eq!(flows().is_stale(&flow), stale, "{flow:?}");
}

#[test]
fn flows_to_real_servers_stay() {
    check("10.96.0.10:53", "10.1.0.1:5353", false);
    check("[fd00::10]:53", "[fd01::1]:5353", false);
}

#[test]
fn flows_to_other_servers_are_stale() {
    check("10.96.0.10:53", "10.1.0.2:5353", true);
    check("10.96.0.10:53", "10.1.0.1:5354", true);
    check("[fd00::10]:53", "[fd01::2]:5353", true);
}

#[test]
fn flows_older_than_the_service_are_stale() {
    check("10.96.0.10:53", "10.96.0.10:53", true);
}

#[test]
fn flows_to_other_ports_and_addresses_are_kept() {
    check("10.96.0.10:54", "10.1.0.2:5353", false);
    check("10.96.0.11:53", "10.1.0.2:5353", false);
}
