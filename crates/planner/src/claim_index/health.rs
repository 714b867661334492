//! Assigns health-check node ports to Services.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use model::finding::{Code, Finding};
use model::names::ObjectName;

use super::contests::Contests;

/// Services that request each health-check node port. The first one gets it (deviation D3).
#[derive(Debug, Default)]
pub(super) struct HealthChecks {
    ports: BTreeMap<NonZeroU16, BTreeSet<(i64, ObjectName)>>,
    contests: Contests<NonZeroU16, ObjectName>,
}

impl HealthChecks {
    /// Records that `service`, created at `created`, requests `port`, or no longer does.
    pub(super) fn exchange(
        &mut self,
        port: NonZeroU16,
        created: i64,
        service: &ObjectName,
        asks: bool,
    ) {
        let services = self.ports.entry(port).or_default();
        let winner = services.first().map(|(_, name)| name.clone());
        let was_contested = services.len() > 1;
        let request = (created, service.clone());
        if asks {
            services.insert(request);
        } else {
            services.remove(&request);
        }
        let is_contested = was_contested || services.len() > 1;
        (self.contests).record(port, is_contested, winner.as_ref(), service, asks);
        if services.is_empty() {
            self.ports.remove(&port);
        }
    }

    /// Returns the Service that gets `port`.
    pub(super) fn winner(&self, port: NonZeroU16) -> Option<&ObjectName> {
        self.at(port).next()
    }

    /// Returns the findings that may have changed since the last call, by port and Service. `None`
    /// clears the finding of a Service.
    pub(super) fn take_findings(&mut self) -> Vec<(NonZeroU16, ObjectName, Option<Finding>)> {
        let mut findings = Vec::new();
        for (port, contest) in self.contests.take() {
            let winner = self.winner(port);
            for (service, lost) in contest.outcomes(self.at(port)) {
                let lost_to = winner.filter(|_| lost);
                let finding = lost_to.map(|winner| finding(port, winner, &service));
                findings.push((port, service, finding));
            }
        }
        findings
    }

    fn at(&self, port: NonZeroU16) -> impl Iterator<Item = &ObjectName> {
        let services = self.ports.get(&port).into_iter().flatten();
        services.map(|(_, name)| name)
    }
}

fn finding(port: NonZeroU16, winner: &ObjectName, loser: &ObjectName) -> Finding {
    Finding {
        code: Code::HealthCheckClash,
        kind: "Service",
        object: loser.clone(),
        field: "spec.healthCheckNodePort".to_owned(),
        problem: format!("{port} is also asked for by {winner}, which is older"),
        consequence: "load balancers cannot ask this node for its endpoints".to_owned(),
    }
}
