//! Which settings differ, in `ipvsadm`'s words.

use ipvs::{RealServer, VirtualServer};
use model::plan::Difference;

/// Settings of a virtual server that differ. The keys are equal.
pub(super) fn of_virtual_server(live: &VirtualServer, desired: &VirtualServer) -> Vec<Difference> {
    // Taken apart by name: a new setting is not forgotten here.
    let VirtualServer {
        key: _,
        scheduler,
        flags,
        persistence_timeout,
        persistence_prefix,
        persistence_engine,
    } = live;
    let engine =
        |engine: &Option<std::sync::Arc<str>>| engine.as_deref().unwrap_or("none").to_owned();
    let seconds = |duration: &std::time::Duration| format!("{} s", duration.as_secs());
    let mut differences = Vec::new();
    let mut compare = |field, live: String, desired: String, equal: bool| {
        if !equal {
            differences.push(Difference {
                field,
                live,
                desired,
            });
        }
    };
    compare(
        "scheduler",
        scheduler.0.to_string(),
        desired.scheduler.0.to_string(),
        *scheduler == desired.scheduler,
    );
    compare(
        "flags",
        format!("{:#x}", flags.bits()),
        format!("{:#x}", desired.flags.bits()),
        *flags == desired.flags,
    );
    compare(
        "persistence",
        seconds(persistence_timeout),
        seconds(&desired.persistence_timeout),
        *persistence_timeout == desired.persistence_timeout,
    );
    compare(
        "persistence prefix",
        format!("/{persistence_prefix}"),
        format!("/{}", desired.persistence_prefix),
        *persistence_prefix == desired.persistence_prefix,
    );
    compare(
        "persistence engine",
        engine(persistence_engine),
        engine(&desired.persistence_engine),
        *persistence_engine == desired.persistence_engine,
    );
    differences
}

/// Settings of a real server that differ. The keys are equal.
pub(super) fn of_real_server(live: &RealServer, desired: &RealServer) -> Vec<Difference> {
    let RealServer {
        key: _,
        forwarding,
        weight,
        upper_threshold,
        lower_threshold,
    } = live;
    let numbers = [
        ("weight", *weight, desired.weight),
        ("upper threshold", *upper_threshold, desired.upper_threshold),
        ("lower threshold", *lower_threshold, desired.lower_threshold),
    ];
    let mut differences: Vec<Difference> = (numbers.into_iter())
        .filter(|(_, live, desired)| live != desired)
        .map(|(field, live, desired)| Difference {
            field,
            live: live.to_string(),
            desired: desired.to_string(),
        })
        .collect();
    if *forwarding != desired.forwarding {
        differences.push(Difference {
            field: "forwarding",
            live: forwarding.to_string(),
            desired: desired.forwarding.to_string(),
        });
    }
    differences
}
