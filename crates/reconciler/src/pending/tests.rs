use std::collections::BTreeSet;

use ipvs::{Protocol, VirtualServerKey};
use model::cluster::Changed;
use model::names::ObjectName;
use model::tables::TableKeys;

use super::{OPS_AT_ONCE, Pending, SERVICES_AT_ONCE};

fn names(names: &[&str]) -> BTreeSet<ObjectName> {
    let names = names.iter();
    names
        .map(|name| ObjectName::new("default", *name))
        .collect()
}

fn changed(of: &[&str]) -> Changed {
    Changed {
        services: names(of),
        ..Changed::default()
    }
}

fn servers(count: u16) -> TableKeys {
    let key = |port| fixtures::server_key([10, 96, 0, 1], port, Protocol::Tcp);
    TableKeys {
        virtual_servers: (1..=count).map(key).collect(),
        ..TableKeys::default()
    }
}

#[test]
fn services_wait_in_the_order_in_which_they_changed() {
    let mut pending = Pending::default();
    for name in ["z", "m", "z", "a"] {
        pending.add(changed(&[name]));
    }
    for name in ["z", "m", "a"] {
        let taken = pending.take_changed(|_| OPS_AT_ONCE);
        assert_eq!(taken.services, names(&[name]));
    }
    assert!(!pending.has_changes());
}

#[test]
fn a_sync_takes_services_up_to_its_limit_of_ops() {
    let mut pending = Pending::default();
    pending.add(changed(&["a", "b", "c"]));
    let taken = pending.take_changed(|_| OPS_AT_ONCE / 2);
    assert_eq!(taken.services, names(&["a", "b"]));
    assert!(pending.has_changes());
}

#[test]
fn services_without_ops_are_limited_too() {
    let mut pending = Pending::default();
    let many: Vec<String> = (0..3_000).map(|number| format!("s{number:04}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    pending.add(changed(&many));
    let taken = pending.take_changed(|_| 0);
    assert_eq!(taken.services.len(), SERVICES_AT_ONCE);
}

#[test]
fn a_large_service_delays_no_other() {
    let mut pending = Pending::default();
    pending.add(changed(&["large"]));
    pending.add(changed(&["other-large"]));
    pending.add(changed(&["small"]));
    let cost = |name: &ObjectName| match &*name.name {
        "small" => 1,
        _ => OPS_AT_ONCE + 1,
    };
    assert_eq!(pending.take_changed(cost).services, names(&["small"]));
    assert!(!pending.has_changes());
    // Large Services are compiled one by one, each after the entries of the previous one were
    // taken.
    for name in ["large", "other-large"] {
        let taken = pending.take_large().expect("it waits");
        assert_eq!(&*taken.name, name);
        pending.add_compiled(servers(1));
        assert_eq!(pending.take_large(), None);
        let _ = pending.take_entries(|_| 1);
    }
    assert!(!pending.has_large());
}

#[test]
fn entries_are_taken_in_parts() {
    let mut pending = Pending::default();
    pending.add_compiled(servers(10));
    pending.add_left(servers(3));
    assert_eq!(pending.entries(), 13);
    assert_eq!(
        pending.take_entries(|_| 1),
        servers(3),
        "the rest of a sync comes first"
    );
    let cost = |_: &VirtualServerKey| OPS_AT_ONCE / 4;
    let parts: Vec<usize> = std::iter::from_fn(|| {
        let part = pending.take_entries(cost);
        (!part.is_empty()).then_some(part.virtual_servers.len())
    })
    .collect();
    assert_eq!(parts, [4, 4, 2]);
    // An entry that costs more than one sync is taken alone.
    pending.add_compiled(servers(2));
    assert_eq!(pending.take_entries(|_| 10 * OPS_AT_ONCE), servers(1));
}
