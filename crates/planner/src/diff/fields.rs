//! Compares the fields of virtual and real servers, named as in `ipvsadm`.

use std::fmt::Display;

use ipvs::{RealServer, VirtualServer};
use model::plan::Difference;

/// Differences in the order of comparison.
#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    /// Compares one field. Only a difference is converted to text.
    fn compare<T: PartialEq, S: Display>(
        &mut self,
        field: &'static str,
        live: &T,
        desired: &T,
        text: impl Fn(&T) -> S,
    ) {
        if live != desired {
            self.0.push(Difference {
                field,
                live: text(live).to_string(),
                desired: text(desired).to_string(),
            });
        }
    }
}

/// Returns the fields of a virtual server that differ. The keys are equal.
pub(super) fn of_virtual_server(live: &VirtualServer, desired: &VirtualServer) -> Vec<Difference> {
    // The exhaustive pattern makes the compiler report a new field.
    let VirtualServer {
        key: _,
        scheduler,
        flags,
        persistence_timeout,
        persistence_prefix,
        persistence_engine,
    } = live;
    let mut differences = Differences::default();
    differences.compare("scheduler", scheduler, &desired.scheduler, |scheduler| {
        scheduler.0.clone()
    });
    differences.compare("flags", flags, &desired.flags, |flags| {
        format!("{:#x}", flags.bits())
    });
    differences.compare(
        "persistence",
        persistence_timeout,
        &desired.persistence_timeout,
        |timeout| format!("{} s", timeout.as_secs()),
    );
    differences.compare(
        "persistence prefix",
        persistence_prefix,
        &desired.persistence_prefix,
        |prefix| format!("/{prefix}"),
    );
    differences.compare(
        "persistence engine",
        persistence_engine,
        &desired.persistence_engine,
        |engine| engine.as_deref().unwrap_or("none").to_owned(),
    );
    differences.0
}

/// Returns the fields of a real server that differ. The keys are equal.
pub(super) fn of_real_server(live: &RealServer, desired: &RealServer) -> Vec<Difference> {
    let RealServer {
        key: _,
        forwarding,
        weight,
        upper_threshold,
        lower_threshold,
    } = live;
    let mut differences = Differences::default();
    for (field, live, desired) in [
        ("weight", weight, &desired.weight),
        ("upper threshold", upper_threshold, &desired.upper_threshold),
        ("lower threshold", lower_threshold, &desired.lower_threshold),
    ] {
        differences.compare(field, live, desired, |number| *number);
    }
    differences.compare("forwarding", forwarding, &desired.forwarding, |way| *way);
    differences.0
}
