//! Who is answered for at which health-check node port.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use model::finding::{Code, Finding};
use model::names::ObjectName;

/// The Services that ask for each port, the one that has it first (deviation D3).
#[derive(Debug, Default)]
pub(super) struct HealthChecks {
    ports: BTreeMap<NonZeroU16, BTreeSet<(i64, ObjectName)>>,
}

impl HealthChecks {
    /// Notes that `service`, created then, asks for `port`, or that it no longer does.
    pub(super) fn exchange(
        &mut self,
        port: NonZeroU16,
        created: i64,
        service: &ObjectName,
        asks: bool,
    ) {
        let services = self.ports.entry(port).or_default();
        let request = (created, service.clone());
        if asks {
            services.insert(request);
        } else {
            services.remove(&request);
        }
        if services.is_empty() {
            self.ports.remove(&port);
        }
    }

    /// The Services that ask for `port`.
    pub(super) fn at(&self, port: NonZeroU16) -> impl Iterator<Item = &ObjectName> {
        let services = self.ports.get(&port).into_iter().flatten();
        services.map(|(_, name)| name)
    }

    /// The one that has it.
    pub(super) fn winner(&self, port: NonZeroU16) -> Option<&ObjectName> {
        self.at(port).next()
    }

    /// A finding for each Service that does not have the port it asks for.
    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.ports.keys().flat_map(|port| {
            let winner = self.winner(*port);
            let losers = self.at(*port).skip(1);
            losers.filter_map(move |loser| {
                Some(Finding {
                    code: Code::HealthCheckClash,
                    kind: "Service",
                    object: loser.clone(),
                    field: "spec.healthCheckNodePort".to_owned(),
                    problem: format!("{port} is also asked for by {}, which is older", winner?),
                    consequence: "load balancers cannot ask this node for its endpoints".to_owned(),
                })
            })
        })
    }
}
