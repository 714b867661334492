use ipvs::{AddressFamily, Protocol};
use model::ObjectName;

use super::*;

fn key(text: &str) -> VirtualServerKey {
    let socket: std::net::SocketAddr = text.parse().expect("an address");
    VirtualServerKey::Address {
        address: socket.ip(),
        port: socket.port(),
        protocol: Protocol::Tcp,
    }
}

fn owners() -> Owners {
    let owner = |name: &str| {
        Arc::new(ServicePortName {
            service: ObjectName::new("shop", name),
            port: "".into(),
            protocol: Protocol::Tcp,
        })
    };
    let web = (key("10.96.0.10:80"), owner("web"));
    let api = (key("10.96.0.11:80"), owner("api"));
    Owners::of([web, api].into())
}

#[track_caller]
fn check(select: &Select, expected: [bool; 3]) {
    let owners = owners();
    let keys = ["10.96.0.10:80", "10.96.0.11:80", "10.96.0.99:80"];
    let found = keys.map(|text| owners.selects(select, &key(text)));
    assert_eq!(found, expected, "{select:?}");
}

#[test]
fn virtual_servers_are_selected_by_service_address_and_protocol() {
    let all = Select::default();
    check(&all, [true; 3]);
    let select = Select {
        namespace: Some("shop".into()),
        ..all.clone()
    };
    check(&select, [true, true, false]);
    let select = Select {
        service: vec![ObjectName::new("shop", "web")],
        ..all.clone()
    };
    check(&select, [true, false, false]);
    let select = Select {
        vip: Some([10, 96, 0, 99].into()),
        ..all.clone()
    };
    check(&select, [false, false, true]);
    let select = Select {
        protocol: Some(Protocol::Udp),
        ..all
    };
    check(&select, [false; 3]);
}

#[test]
fn a_firewall_mark_has_no_address() {
    let key = VirtualServerKey::Fwmark {
        family: AddressFamily::Ipv4,
        mark: 7.try_into().expect("a mark"),
    };
    let by_address = Select {
        vip: Some([10, 96, 0, 99].into()),
        ..Select::default()
    };
    assert!(owners().selects(&Select::default(), &key));
    assert!(!owners().selects(&by_address, &key));
}

#[test]
fn names_are_needed_to_select_by_name() {
    let select = Select {
        namespace: Some("shop".into()),
        ..Select::default()
    };
    assert!(owners().check(&select).is_ok());
    let unknown = Owners::unknown("nobody knows".into());
    assert!(unknown.check(&Select::default()).is_ok());
    assert!(unknown.check(&select).is_err());
}
