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

#[test]
fn flows_are_stale_unless_a_real_server_answers_them() {
    for (destination, answered_by, stale) in [
        ("10.96.0.10:53", "10.1.0.1:5353", false),
        ("[fd00::10]:53", "[fd01::1]:5353", false),
        ("10.96.0.10:53", "10.1.0.2:5353", true),
        ("10.96.0.10:53", "10.1.0.1:5354", true),
        ("[fd00::10]:53", "[fd01::2]:5353", true),
        // This flow is older than the Service.
        ("10.96.0.10:53", "10.96.0.10:53", true),
        // No Service has these destinations.
        ("10.96.0.10:54", "10.1.0.2:5353", false),
        ("10.96.0.11:53", "10.1.0.2:5353", false),
    ] {
        let flow = Flow {
            destination: at(destination),
            answered_by: at(answered_by),
        };
        assert_eq!(flows().is_stale(&flow), stale, "{flow:?}");
    }
}
