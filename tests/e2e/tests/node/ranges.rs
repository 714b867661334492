//! `loadBalancerSourceRanges`.

use std::time::Duration;

use e2e::{Family, Knock, Outcome, Protocol, ensure, knock, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, with_slices};

/// Time without an answer that counts as silence. It includes one retransmission by TCP, after a
/// second.
const SILENCE: Duration = Duration::from_millis(1300);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "ranges::who_is_in_one_is_served_and_who_is_not_gets_no_answer",
            first_client,
        ),
        case(
            "ranges::of_the_other_family_alone_let_nobody_in",
            other_family,
        ),
        case(
            "ranges::a_range_of_all_addresses_admits_every_client",
            everybody,
        ),
        case("ranges::guard_the_load_balancers_address_alone", alone),
        case("ranges::a_change_holds_at_once", change),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn guarded(ranges: &[&str]) -> Value {
    let mut service = web().outside();
    service["spec"]["loadBalancerSourceRanges"] = json!(ranges);
    service
}

fn stage(ranges: &[&str]) -> Outcome<Stage> {
    let stage = Stage::start(&["pod1"], &[], |world| {
        with_slices(world, web(), guarded(ranges), &["pod1"])
    })?;
    // Source ranges do not apply to the cluster IP, so this shows that the Service is programmed.
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    Ok(stage)
}

/// Fails unless requests from the client's address of this index end as expected, over all
/// protocols.
fn ends(stage: &Stage, family: Family, from: usize, expected: &Knock) -> Outcome {
    let target = web().at(Address::LoadBalancer, family);
    let source = family.client_addresses()[from];
    for protocol in Protocol::ALL {
        let found = knock(&stage.world.client, Some(source), protocol, target, SILENCE);
        ensure(found == *expected, || {
            format!("from {source} to {target}/{protocol}: expected {expected:?}, found {found:?}")
        })?;
    }
    Ok(())
}

const FIRST: [&str; 2] = ["192.168.50.10/32", "fd00:50::10/128"];
const SECOND: [&str; 2] = ["192.168.50.11/32", "fd00:50::11/128"];

fn first_client() -> Outcome {
    let stage = stage(&FIRST)?;
    for family in FAMILIES {
        ends(&stage, family, 0, &Knock::Open)?;
        ends(&stage, family, 1, &Knock::Silence)?;
    }
    Ok(())
}

/// Ranges of one family alone deny the other family (deviation D11).
fn other_family() -> Outcome {
    let stage = stage(&["fd00:50::10/128"])?;
    ends(&stage, Family::V6, 0, &Knock::Open)?;
    ends(&stage, Family::V6, 1, &Knock::Silence)?;
    ends(&stage, Family::V4, 0, &Knock::Silence)
}

/// A range of length 0 in one family opens both families, as in Kubernetes since 1.34.
fn everybody() -> Outcome {
    let stage = stage(&["0.0.0.0/0"])?;
    for family in FAMILIES {
        for from in [0, 1] {
            ends(&stage, family, from, &Knock::Open)?;
        }
    }
    Ok(())
}

fn alone() -> Outcome {
    let stage = stage(&["192.0.2.0/24", "2001:db8::/64"])?;
    for family in FAMILIES {
        ends(&stage, family, 0, &Knock::Silence)?;
    }
    stage.soon_served_by(web(), Address::External, &["pod1"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])
}

fn change() -> Outcome {
    let stage = stage(&FIRST)?;
    stage.api.replace(&guarded(&SECOND))?;
    for family in FAMILIES {
        within(Duration::from_secs(4), || {
            ends(&stage, family, 1, &Knock::Open)
        })?;
        ends(&stage, family, 0, &Knock::Silence)?;
    }
    stage.api.replace(&web().outside())?;
    for family in FAMILIES {
        within(Duration::from_secs(4), || {
            ends(&stage, family, 0, &Knock::Open)
        })?;
    }
    Ok(())
}
