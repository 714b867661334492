use crate::policy::Annotation;
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use ipvs::Protocol;

use super::{
    ClusterEvent, ClusterState, Endpoint, EndpointSlice, Node, Object, ObjectKind, Parsed, Service,
    ServicePort,
};
use crate::names::{Name, ObjectName};

fn slice(name: &str, service: &str) -> Object {
    Object::EndpointSlice(EndpointSlice {
        name: ObjectName::new("default", name),
        service: service.into(),
        family: None,
        endpoints: Vec::new(),
        ports: Vec::new(),
        triggered: None,
        uid: None,
        several_addresses: None,
    })
}

fn node(name: &str) -> Object {
    Object::Node(Node {
        name: name.into(),
        zone: None,
        addresses: Vec::new(),
        pod_cidrs: Vec::new(),
        deleting: false,
        leaving: false,
    })
}

fn list(state: &mut ClusterState, kind: ObjectKind, objects: Vec<Object>) -> Vec<String> {
    let mut changed = state.absorb(ClusterEvent::ListStarted(kind));
    for object in objects {
        changed.merge(state.absorb(ClusterEvent::Upsert(object)));
    }
    changed.merge(state.absorb(ClusterEvent::ListDone(kind)));
    changed.services.iter().map(ToString::to_string).collect()
}

#[test]
fn state_is_complete_after_a_list_of_every_kind() {
    let mut state = ClusterState::default();
    for kind in ObjectKind::ALL {
        assert!(!state.is_complete());
        list(&mut state, kind, Vec::new());
    }
    assert!(state.is_complete());
}

#[test]
fn new_list_replaces_the_old_one_at_its_end() {
    let mut state = ClusterState::default();
    let kind = ObjectKind::EndpointSlice;
    list(&mut state, kind, vec![slice("a", "web"), slice("b", "dns")]);

    state.absorb(ClusterEvent::ListStarted(kind));
    state.absorb(ClusterEvent::Upsert(slice("b", "dns")));
    let web = ObjectName::new("default", "web");
    assert_eq!(
        state.slices(&web).count(),
        1,
        "the list is not done, nothing is deleted"
    );
    let changed = state.absorb(ClusterEvent::ListDone(kind));
    assert_eq!(changed.services, [web.clone()].into());
    assert_eq!(state.slices(&web).count(), 0);
}

#[test]
fn moved_slice_changes_both_services() {
    let mut state = ClusterState::default();
    state.absorb(ClusterEvent::Upsert(slice("a", "web")));
    let changed = state.absorb(ClusterEvent::Upsert(slice("a", "dns")));
    assert_eq!(changed.services.len(), 2);
    let web = ObjectName::new("default", "web");
    assert_eq!(state.slices(&web).count(), 0);
}

#[test]
fn nodes_are_added_and_deleted() {
    let mut state = ClusterState::default();
    assert!(!state.absorb(ClusterEvent::Upsert(node("node1"))).is_empty());
    assert!(state.node("node1").is_some());
    let gone = ClusterEvent::Delete(ObjectKind::Node, ObjectName::new("", "node1"));
    assert!(!state.absorb(gone).is_empty());
    assert!(state.node("node1").is_none());
}

#[test]
fn known_node_that_stays_is_eligible() {
    let check = |deleting, leaving, expected| {
        let mut state = ClusterState::default();
        assert!(!state.node_eligible("node1"), "unknown");
        let mut given = node("node1");
        if let Object::Node(node) = &mut given {
            (node.deleting, node.leaving) = (deleting, leaving);
        }
        state.absorb(ClusterEvent::Upsert(given));
        assert_eq!(state.node_eligible("node1"), expected);
    };
    check(false, false, true);
    check(true, false, false);
    check(false, true, false);
}

#[test]
fn repeated_event_is_not_a_change() {
    let mut state = ClusterState::default();
    let events = [
        ClusterEvent::Upsert(slice("a", "web")),
        ClusterEvent::Upsert(node("n")),
        ClusterEvent::Upsert(Object::Service(Service::new(ObjectName::new("d", "web")))),
    ];
    for event in events {
        assert!(!state.absorb(event.clone()).is_empty(), "{event:?}");
        assert!(state.absorb(event.clone()).is_empty(), "{event:?}");
    }
    for gone in [
        (ObjectKind::EndpointSlice, ObjectName::new("default", "a")),
        (ObjectKind::Node, ObjectName::new("", "n")),
        (ObjectKind::Service, ObjectName::new("d", "web")),
    ] {
        let event = ClusterEvent::Delete(gone.0, gone.1);
        assert!(!state.absorb(event.clone()).is_empty(), "{event:?}");
        assert!(state.absorb(event.clone()).is_empty(), "{event:?}");
    }
}

fn on_node(name: &str, node: &str) -> Object {
    let Object::EndpointSlice(slice) = slice(name, "web") else {
        unreachable!("`slice` returns an EndpointSlice");
    };
    let address = Parsed::Valid([10, 1, 0, 1].into());
    let endpoint = Endpoint {
        node: Some(node.into()),
        zone_hints: Box::new(["zone-a".into()]),
        ..Endpoint::ready(address)
    };
    Object::EndpointSlice(EndpointSlice {
        endpoints: vec![endpoint],
        ..slice
    })
}

/// Returns, for each slice of `service`, the names that it shares with other objects.
fn shared_names(state: &ClusterState, service: &ObjectName) -> Vec<Vec<Name>> {
    let of = |slice: EndpointSlice| vec![slice.name.namespace, slice.service];
    state.slices(service).map(of).collect()
}

#[test]
fn shared_names_are_stored_once() {
    let web = ObjectName::new("default", "web");
    let service = Object::Service(Service::new(web.clone()));
    for service_first in [true, false] {
        let mut state = ClusterState::default();
        let mut objects = vec![on_node("a", "node1"), on_node("b", "node1")];
        objects.insert(if service_first { 0 } else { 2 }, service.clone());
        for object in objects {
            state.absorb(ClusterEvent::Upsert(object));
        }
        let names = shared_names(&state, &web);
        for (first, second) in names[0].iter().zip(&names[1]) {
            assert!(Name::ptr_eq(first, second), "{first}");
        }
        let service = &state.service(&web).expect("a Service").name;
        assert!(Name::ptr_eq(&service.name, &names[0][1]));
        assert!(Name::ptr_eq(&service.namespace, &names[0][0]));
    }
}

#[test]
fn port_names_are_stored_once() {
    let mut state = ClusterState::default();
    let names = ["a", "b"].map(|name| ObjectName::new("default", name));
    for name in &names {
        let http = ServicePort {
            name: "http".into(),
            protocol: Parsed::Valid(Protocol::Tcp),
            port: Parsed::Invalid("0".into()),
            node_port: None,
        };
        let service = Service {
            ports: vec![http],
            ..Service::new(name.clone())
        };
        state.absorb(ClusterEvent::Upsert(Object::Service(service)));
    }
    let [a, b] = names.map(|name| {
        let service = state.service(&name).expect("a Service");
        service.ports[0].name.clone()
    });
    assert!(Name::ptr_eq(&a, &b));
}

#[test]
fn objects_are_decoded_unchanged() {
    let mut service = Service::new(ObjectName::new("default", "web"));
    service.created = Some(-1);
    service.cluster_ips = vec![
        Parsed::Valid([10, 96, 0, 1].into()),
        Parsed::Invalid("fd00::/8".into()),
    ];
    service.affinity = Some(Duration::from_secs(10_800));
    service.source_ranges = vec![
        Parsed::Valid("10.0.0.0/8".parse().expect("a network")),
        Parsed::Valid("fd00::/64".parse().expect("a network")),
    ];
    service.health_check_node_port = NonZeroU16::new(30_000).map(Parsed::Valid);
    service.annotations = [Annotation::new("scheduler", "mh")].into();
    let Object::EndpointSlice(mut slice) = on_node("a", "node1") else {
        unreachable!("`on_node` returns an EndpointSlice");
    };
    slice.triggered = Some(SystemTime::UNIX_EPOCH + Duration::new(1, 1));
    slice.uid = crate::names::Uid::parse("0a1b2c3d-0000-4000-8000-00000000000f");

    let mut state = ClusterState::default();
    for object in [
        Object::Service(service.clone()),
        Object::EndpointSlice(slice.clone()),
    ] {
        let event = ClusterEvent::Upsert(object);
        assert!(!state.absorb(event.clone()).is_empty());
        assert!(state.absorb(event).is_empty());
    }
    assert_eq!(state.service(&service.name), Some(service.clone()));
    assert!(state.slices(&service.name).eq([slice.clone()]));
    assert_eq!(state.slice(&slice.name), Some(slice.clone()));

    slice.triggered = Some(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    state.absorb(ClusterEvent::Upsert(Object::EndpointSlice(slice)));
    let triggered = state.slices(&service.name).map(|slice| slice.triggered);
    assert!(triggered.eq([None]), "a time before 1970 is dropped");
}
