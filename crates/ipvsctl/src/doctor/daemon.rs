//! kube-ipvsd, and who else keeps the node.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sources::proxy::Running;

use super::facts::{DaemonFacts, HealthFacts, NodeFacts};
use super::{Diagnosis, Severity, count, some};
use crate::schema::{DaemonFinding, DaemonSource, FailingEntry, FailingReading};

/// Findings that checks of our own tell.
const OWN: [&str; 8] = [
    "KIV0403",
    "KIV0404",
    "KIV0405",
    "KIV0406",
    "KIV0407",
    "KIV0408",
    "KIV0409",
    SECOND_PROXY,
];

/// The finding that another program writes the node's tables.
const SECOND_PROXY: &str = "KIV0410";

/// Checks the proxies that answer: kube-ipvsd, once, and no other.
pub(super) fn proxies(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "proxies";
    let why = "two that write the same tables undo each other's work";
    let of_kube_proxy = |running: &Running| matches!(running, Running::KubeProxy(_));
    let others = (facts.proxies.iter()).filter(|(_, running)| of_kube_proxy(running));
    let mut found: Vec<Diagnosis> = others
        .map(|(address, running)| {
            let found = format!("{running} answers at {address}");
            let action =
                "stop it, and do not clean up: its tables go on serving until kube-ipvsd starts";
            Diagnosis::problem(check, found, why, action)
        })
        .collect();
    let status = (facts.daemon.status.iter()).filter(|_| facts.is_kept());
    let noticed = status.flat_map(|status| &status.findings);
    let noticed: Vec<Diagnosis> = (noticed.filter(|finding| finding.code == SECOND_PROXY))
        .map(|finding| {
            let action = "keep kube-proxy away from this node, and do not run its --cleanup; where none runs, stop the program that \
                          changes what kube-ipvsd's log lines `repairing drift` name";
            Diagnosis::problem(check, finding.text.clone(), why, action)
        })
        .collect();
    let ours = (facts.proxies.iter()).filter(|(_, running)| *running == Running::KubeIpvs);
    let ours: Vec<String> = ours.map(|(address, _)| address.to_string()).collect();
    match (&ours[..], facts.daemon.metrics) {
        // The other one is told already.
        ([], Some(_)) if !found.is_empty() => {}
        ([], Some(address)) => found.push(Diagnosis::problem(
            check,
            format!("kube-ipvsd does not answer at {address}"),
            "what changes in the cluster does not reach this node",
            "start it; where it runs, give this its configuration (--config), which says where it listens",
        )),
        ([], None) => {}
        ([address], _) => found.push(Diagnosis::ok(check, format!("kube-ipvsd answers at {address}"))),
        (several, _) => {
            let found_here = format!("more than one kube-ipvsd answers: {}", several.join(", "));
            found.push(Diagnosis::problem(check, found_here, why, "stop all but one"));
        }
    }
    found.extend(noticed);
    found
}

/// Diagnoses the health that kube-ipvsd reports.
pub(super) fn health(facts: &NodeFacts) -> Vec<Diagnosis> {
    let DaemonFacts {
        metrics,
        health,
        status,
        ..
    } = &facts.daemon;
    let mut found = Vec::new();
    // Where metrics are served nowhere, nothing else tells of it. Another proxy's health is not asked for.
    if let Some(health) = health
        && (facts.is_kept() || metrics.is_none())
    {
        found.push(healthz(health));
    }
    if facts.is_kept() {
        found.push(last_sync(status.as_ref()));
    }
    found
}

fn healthz(health: &HealthFacts) -> Diagnosis {
    let check = "healthz";
    let HealthFacts {
        address,
        healthz,
        livez,
    } = health;
    match (healthz, livez) {
        (Ok(()), _) => Diagnosis::ok(
            check,
            format!("/healthz at {address} says that all is well"),
        ),
        (Err(why), Ok(())) => Diagnosis::warning(
            check,
            format!("at {address} {why}, while /livez says that kube-ipvsd is well"),
            "load balancers that ask there send this node no new connections",
            "none where the node is about to go; else see by kubectl get node whether it is there by the name that \
             kube-ipvsd has, is being deleted, or has the taint ToBeDeletedByClusterAutoscaler",
        ),
        (Err(_), Err(why)) => Diagnosis::problem(
            check,
            format!("at {address} {why}"),
            "changes of the cluster have not reached this node for too long, or no process listens there",
            "see /statusz and the log of kube-ipvsd",
        ),
    }
}

fn last_sync(status: Option<&crate::schema::DaemonStatus>) -> Diagnosis {
    let check = "synchronisation";
    let Some(status) = status else {
        return Diagnosis::warning(
            check,
            "/statusz of kube-ipvsd is not understood",
            "what it knows of itself is not looked at",
            "use an ipvsctl of the same version",
        );
    };
    match &status.last_sync {
        None => Diagnosis::warning(
            check,
            format!("kube-ipvsd {} has not synchronised yet", status.version),
            "until then the node is served as it was found",
            "wait; where it lasts, see its log: the API server has not delivered all lists",
        ),
        Some(sync) if sync.failed > 0 => {
            let last = status.recent_failures.last();
            let last = last.map_or(String::new(), |failure| {
                format!(", the last: {}", failure.problem)
            });
            Diagnosis::problem(
                check,
                format!(
                    "{} failed at {}{last}",
                    count(sync.failed, "change"),
                    sync.time
                ),
                "a part of what the cluster asks for is not there; kube-ipvsd tries it again",
                "see /statusz and the log of kube-ipvsd for all of them",
            )
        }
        Some(sync) => {
            let version = &status.version;
            Diagnosis::ok(
                check,
                format!("kube-ipvsd {version} synchronised at {}", sync.time),
            )
        }
    }
}

/// Entries that the kernel refuses, those of one reason together, and readings that fail.
pub(super) fn failing(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "failing";
    let Some(status) = facts.daemon.status.as_ref().filter(|_| facts.is_kept()) else {
        return Vec::new();
    };
    let mut reasons: BTreeMap<(&str, &str), Vec<&FailingEntry>> = BTreeMap::new();
    for entry in &status.failing_entries {
        let reason = (&*entry.reason, &*entry.advice);
        reasons.entry(reason).or_default().push(entry);
    }
    let readings = status.failing_readings.iter().map(|reading| {
        let FailingReading {
            task,
            since,
            failures,
        } = reading;
        let failures = count(usize::try_from(*failures).unwrap_or(usize::MAX), "failure");
        Diagnosis::problem(
            check,
            format!("{task}: {failures} since {since}"),
            "what depends on the reading is not compared with the cluster",
            "see the log of kube-ipvsd; it retries",
        )
    });
    let mut found: Vec<Diagnosis> = readings.collect();
    found.extend(reasons.into_iter().map(|((reason, advice), entries)| {
        let since = entries.iter().map(|entry| &*entry.since).min();
        let names: Vec<String> = entries.iter().map(|entry| named(entry)).collect();
        let since = since.unwrap_or_default();
        Diagnosis::problem(
            check,
            format!("{}: {reason}, since {since}", some(&names)),
            "a part of what the cluster asks for is missing; kube-ipvsd retries at most every syncPeriod",
            advice,
        )
    }));
    let hidden = (status.counts.failing_entries).saturating_sub(status.failing_entries.len());
    if hidden > 0 {
        found.push(Diagnosis::problem(
            check,
            format!("{hidden} more entries fail, which /statusz does not list"),
            "a part of what the cluster asks for is missing",
            "solve the ones above first",
        ));
    }
    if found.is_empty() {
        found.push(Diagnosis::ok(
            check,
            "kube-ipvsd reads and writes all that it needs",
        ));
    }
    found
}

fn named(FailingEntry { entry, service, .. }: &FailingEntry) -> String {
    match service {
        Some(service) => format!("{entry} ({service})"),
        None => entry.clone(),
    }
}

/// The sources from which kube-ipvsd gets the cluster's objects.
pub(super) fn sources(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "sources";
    let Some(status) = facts.daemon.status.as_ref().filter(|_| facts.is_kept()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, source) in &status.sources {
        let DaemonSource {
            state,
            since,
            listed,
            last_error,
        } = source;
        let consequence = if *listed {
            "the node serves what it knew before; changes do not reach it"
        } else {
            "nothing of the cluster reaches this node before each source has delivered a full list"
        };
        match (&**state, last_error) {
            ("watching", _) => {}
            ("listing", _) if *listed => {}
            ("listing", _) => found.push(Diagnosis::warning(
                check,
                format!("{name}: no full list yet, since {since}"),
                consequence,
                "wait; where it lasts, see the log of kube-ipvsd",
            )),
            (_, error) => {
                let why = error
                    .as_ref()
                    .map_or(String::new(), |error| format!(": {}", error.message));
                found.push(Diagnosis::problem(
                    check,
                    format!("{name}: {state} since {since}{why}"),
                    consequence,
                    "see the log of kube-ipvsd, which says what to do; kube-ipvsd goes on trying",
                ));
            }
        }
    }
    if found.is_empty() && !status.sources.is_empty() {
        let names: Vec<String> = status.sources.keys().cloned().collect();
        let all = some(&names);
        found.push(Diagnosis::ok(check, format!("kube-ipvsd follows {all}")));
    }
    found
}

/// Reports kube-ipvsd's findings about the cluster.
pub(super) fn findings(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "findings";
    let Some(status) = facts.daemon.status.as_ref().filter(|_| facts.is_kept()) else {
        return Vec::new();
    };
    let mut odd: Vec<&DaemonFinding> = (status.findings.iter())
        .filter(|finding| !OWN.contains(&&*finding.code) && severity(finding) > Severity::Ok)
        .collect();
    odd.sort_by_key(|finding| (std::cmp::Reverse(severity(finding)), *finding));
    let Some(worst) = odd.first().map(|finding| severity(finding)) else {
        return vec![Diagnosis::ok(
            check,
            "kube-ipvsd finds nothing wrong with the cluster's objects",
        )];
    };
    let texts: Vec<String> = odd.iter().map(|finding| finding.text.clone()).collect();
    vec![Diagnosis {
        severity: worst,
        ..Diagnosis::warning(
            check,
            some(&texts),
            "something that a Service asks for is not there, or not as its author means",
            "ipvsctl analyze lists them, and ipvsctl analyze --explain CODE says what to do",
        )
    }]
}

fn severity(finding: &DaemonFinding) -> Severity {
    match &*finding.level {
        "error" => Severity::Problem,
        "warning" => Severity::Warning,
        _ => Severity::Ok,
    }
}
