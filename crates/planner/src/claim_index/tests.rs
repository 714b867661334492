use model::cluster::Service;
use model::{NodeState, ObjectKind};

use crate::testing::{Scene, cluster, compile, compiler, deleted, endpoint, service, slice, texts};

fn created(name: &str, at: Option<i64>) -> Service {
    Service {
        created: at,
        ..service(name, &["10.96.0.1"])
    }
}

#[test]
fn the_older_service_wins_a_clash() {
    for (case, [a, b], [winner, loser]) in [
        ("b is older", [Some(2), Some(1)], ["b", "a"]),
        ("equal ages: by name", [Some(1), Some(1)], ["a", "b"]),
        (
            "an unknown age is the youngest",
            [None, Some(9)],
            ["b", "a"],
        ),
    ] {
        let services = vec![created("a", a), created("b", b)];
        let (desired, findings) = compile(&cluster(services, Vec::new()));
        let owners = desired.owners.virtual_servers.values();
        let owners: Vec<&str> = owners.map(|owner| &*owner.service.name).collect();
        assert_eq!(owners, [winner], "{case}");
        let losers = texts(findings.iter().map(|finding| &finding.object));
        assert_eq!(losers, [format!("default/{loser}")], "{case}");
    }
}

#[test]
fn the_loser_replaces_a_deleted_winner() {
    let state = cluster(
        vec![created("a", Some(1)), created("b", Some(2))],
        vec![
            slice("a", "a", vec![endpoint("10.1.0.1")]),
            slice("b", "b", vec![endpoint("10.1.0.2")]),
        ],
    );
    let mut scene = Scene::new(state, compiler(), &NodeState::default());
    assert_eq!(scene.mistakes(), 1);

    let keys = scene.apply(deleted(ObjectKind::Service, "a"));
    assert_eq!(
        keys.virtual_servers.len(),
        1,
        "the virtual server has another owner"
    );
    assert!(keys.addresses.is_empty(), "the address has not changed");
    assert_eq!(scene.mistakes(), 0);
    assert_eq!(*scene.compiler.desired(), compile(&scene.state).0);
}
