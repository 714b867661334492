//! Changes of objects in the API server, and their effect on packets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use e2e::{Family, Outcome, Path, Protocol, ensure, get_text, objects, within};
use libtest_mimic::Trial;

use crate::case;
use crate::cluster::Cluster;

/// Time limit for a new Service to be served.
const SOON: Duration = Duration::from_secs(2);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("changes::an_added_endpoint_gets_its_share", added),
        case("changes::a_removed_endpoint_gets_nothing_more", removed),
        case("changes::endpoints_go_and_come_back", gone_and_back),
        case("changes::a_service_comes_and_goes", service),
        case("changes::a_configuration_takes_effect", configuration),
    ]
}

fn added() -> Outcome {
    let cluster = Cluster::start(3, &[])?;
    cluster.set_endpoints(&[0, 1])?;
    cluster.soon_served_by(&[0, 1])?;
    cluster.set_endpoints(&[0, 1, 2])?;
    cluster.soon_served_by(&[0, 1, 2])
}

fn removed() -> Outcome {
    let cluster = Cluster::start(3, &[])?;
    cluster.served_by(&["pod1", "pod2", "pod3"])?;
    cluster.set_endpoints(&[0, 2])?;
    cluster.soon_served_by(&[0, 2])?;
    for pod in &cluster.world.pods {
        let _ = pod.take_answers();
    }
    let tally = cluster.ask(Family::V4, 1, 50).complete()?;
    let answers = cluster.world.pods[1].take_answers();
    ensure(answers == 0, || {
        format!("pod2 answered {answers} times: {tally:?}")
    })
}

/// A Service loses all endpoints: requests are not answered. When the endpoints return, they serve
/// again.
fn gone_and_back() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    cluster.set_endpoints(&[])?;
    cluster.converges()?;
    let tally = cluster.ask(Family::V4, 1, 2);
    ensure(tally.answers.is_empty(), || {
        format!("expected no answers, found {tally:?}")
    })?;
    cluster.set_endpoints(&[0, 1])?;
    cluster.soon_served_by(&[0, 1])
}

fn service() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    let before = cluster.world.tables()?;
    cluster.api.create_all(&cluster.world.web("shop", 2))?;
    within(SOON, || {
        cluster.ask(Family::V6, 2, 4).complete().map(drop)?;
        cluster.ask(Family::V4, 2, 4).complete().map(drop)
    })?;
    cluster.converges()?;
    cluster.api.delete(Path::Services, "shop")?;
    within(SOON, || cluster.world.tables()?.are(&before))?;
    cluster.served_by(&["pod1", "pod2"])?;

    // The slices still exist, so that the Service is served at once when it is created again, at
    // another address.
    let again = [Family::V4, Family::V6].map(|family| family.virtual_address(3));
    let shop = objects::service("shop", &again, &Protocol::ALL);
    cluster.api.create(&shop)?;
    within(SOON, || cluster.ask(Family::V4, 3, 4).complete().map(drop))?;
    cluster.converges()
}

/// The scheduler in the file changes twice in quick succession: the tables and `/configz` show the
/// last one.
fn configuration() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    cluster.world.config(&["scheduler: wrr"])?;
    cluster.converges()?;
    cluster.world.config(&["scheduler: lc"])?;
    cluster.world.config(&["scheduler: sh"])?;
    cluster.converges()?;
    let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, 10249));
    let shown = get_text(&cluster.world.node, metrics, "/configz")?;
    ensure(shown.contains("\"scheduler\":\"sh\""), || shown)
}
