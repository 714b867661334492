use model::NodeState;
use model::cluster::Service;

use crate::testing::{cluster, compile, compiler, endpoint, is_mistake, service, slice};

fn created(name: &str, ip: &str, at: Option<i64>) -> Service {
    Service {
        created: at,
        ..service(name, &[ip])
    }
}

fn check_winner(services: Vec<Service>, winner: &str) {
    let names: Vec<_> = services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    let (desired, findings) = compile(&cluster(services, Vec::new()));
    let owners: Vec<String> = (desired.owners.virtual_servers.values())
        .map(|owner| owner.service.name.to_string())
        .collect();
    assert_eq!(owners, [winner]);
    let losers: Vec<_> = findings
        .iter()
        .map(|finding| finding.object.clone())
        .collect();
    let expected: Vec<_> = names
        .into_iter()
        .filter(|name| *name.name != *winner)
        .collect();
    assert_eq!(losers, expected);
}

#[test]
fn the_older_service_wins_a_clash() {
    check_winner(
        vec![
            created("a", "10.96.0.1", Some(2)),
            created("b", "10.96.0.1", Some(1)),
        ],
        "b",
    );
}

#[test]
fn names_decide_between_services_of_equal_age() {
    check_winner(
        vec![
            created("a", "10.96.0.1", Some(1)),
            created("b", "10.96.0.1", Some(1)),
        ],
        "a",
    );
}

#[test]
fn a_service_without_age_is_the_youngest() {
    check_winner(
        vec![
            created("a", "10.96.0.1", None),
            created("b", "10.96.0.1", Some(9)),
        ],
        "b",
    );
}

#[test]
fn the_loser_replaces_a_deleted_winner() {
    use model::{ClusterEvent, ObjectKind, ObjectName};

    let mut state = cluster(
        vec![
            created("a", "10.96.0.1", Some(1)),
            created("b", "10.96.0.1", Some(2)),
        ],
        vec![
            slice("a", "a", vec![endpoint("10.1.0.1")]),
            slice("b", "b", vec![endpoint("10.1.0.2")]),
        ],
    );
    let mut compiler = compiler();
    compiler.update_all(&state, &NodeState::default());
    assert_eq!(compiler.findings().filter(|one| is_mistake(one)).count(), 1);

    let a = ObjectName::new("default", "a");
    let changed = state.absorb(ClusterEvent::Delete(ObjectKind::Service, a));
    let keys = compiler.update(&state, &changed);
    assert_eq!(
        keys.virtual_servers.len(),
        1,
        "the virtual server has another owner"
    );
    assert!(keys.addresses.is_empty(), "the address has not changed");
    assert_eq!(compiler.findings().filter(|one| is_mistake(one)).count(), 0);
    assert_eq!(*compiler.desired(), compile(&state).0);
}
