//! Checks of kube-ipvsd, and of other proxies on the node.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::{Code, ObjectName};
use sources::proxy::Running;

use super::facts::{DaemonFacts, HealthFacts, NodeFacts};
use super::{Diagnosis, Severity, count, process, some};
use crate::schema::{DaemonFinding, DaemonSource, FailingEntry, FailingReading};

/// Findings that other checks report.
const OWN: [Code; 8] = [
    Code::IdleTcpForgotten,
    Code::UdpTrackedTooBriefly,
    Code::OtherModesLeftovers,
    Code::InputDrops,
    Code::NotTracked,
    Code::MissingFamily,
    Code::InputMayDrop,
    Code::SecondProxy,
];

/// Returns true if another check reports findings with this code.
fn is_own(code: &str) -> bool {
    OWN.iter().any(|own| own.as_str() == code)
}

/// Checks that exactly one kube-ipvsd answers, and no other proxy.
pub(super) fn proxies(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "proxies";
    let why = "Services change back and forth: two proxies that write the same tables undo each other's changes";
    let of_kube_proxy = |running: &Running| matches!(running, Running::KubeProxy(_));
    let others = (facts.proxies.iter()).filter(|(_, running)| of_kube_proxy(running));
    let mut found: Vec<Diagnosis> = others
        .map(|(address, running)| {
            let found = format!("{running} answers at {address}");
            let action =
                "stop it without a cleanup: its tables keep serving until kube-ipvsd starts";
            Diagnosis::problem(check, found, why, action)
        })
        .collect();
    let status = (facts.daemon.status.iter()).filter(|_| facts.is_kept());
    let noticed = status.flat_map(|status| &status.findings);
    let second = Code::SecondProxy;
    let noticed: Vec<Diagnosis> = (noticed.filter(|finding| finding.code == second.as_str()))
        .map(|finding| {
            let action = "keep kube-proxy off this node, and do not run its --cleanup; if no kube-proxy runs, stop the \
                          program that changes the entries in kube-ipvsd's log lines `repairing drift`";
            Diagnosis {
                code: Some(second),
                ..Diagnosis::problem(check, finding.text.clone(), why, action)
            }
        })
        .collect();
    let ours = (facts.proxies.iter()).filter(|(_, running)| *running == Running::KubeIpvs);
    let ours: Vec<String> = ours.map(|(address, _)| address.to_string()).collect();
    match (&ours[..], facts.daemon.metrics) {
        // The other proxy is reported above.
        ([], Some(_)) if !found.is_empty() => {}
        // The check `process` reports it.
        ([], Some(_)) if process::hangs(facts) => {}
        ([], Some(address)) => found.push(Diagnosis::problem(
            check,
            format!("kube-ipvsd does not answer at {address}"),
            "Services stay as they are: changes of the cluster do not reach this node, and nothing repairs its tables",
            "start kube-ipvsd: kubectl -n kube-system get pods -l app.kubernetes.io/name=kube-ipvs -o wide, or systemctl \
             start kube-ipvsd; if it runs, name its metrics address by --metrics-address",
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
    // Without a metrics address health is the only sign of kube-ipvsd. Health of other proxies is
    // ignored.
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
        (Ok(()), _) => Diagnosis::ok(check, format!("/healthz at {address} reports healthy")),
        (Err(why), Ok(())) => Diagnosis::warning(
            check,
            format!("at {address} {why}, but /livez reports healthy"),
            "load balancers that check /healthz send no new connections to this node",
            "nothing if the node is being removed; else check by kubectl get node that a Node with the name that \
             kube-ipvsd uses exists, is not being deleted, and has no taint ToBeDeletedByClusterAutoscaler",
        ),
        (Err(_), Err(why)) => Diagnosis::problem(
            check,
            format!("at {address} {why}"),
            "changes of the cluster do not reach this node: kube-ipvsd has not applied them for too long, or no process \
             listens there",
            "see /statusz and the log of kube-ipvsd; if it is hung, restart it, which cuts no connection",
        ),
    }
}

fn last_sync(status: Option<&crate::schema::DaemonStatus>) -> Diagnosis {
    let check = "synchronisation";
    let Some(status) = status else {
        return Diagnosis::warning(
            check,
            "/statusz of kube-ipvsd cannot be read",
            "unknown: the state that kube-ipvsd reports is not checked",
            "use an ipvsctl of the same version as kube-ipvsd",
        );
    };
    match &status.last_sync {
        None => Diagnosis::warning(
            check,
            format!("kube-ipvsd {} has not completed a sync yet", status.version),
            "Services stay as kube-ipvsd found them",
            "wait; if it lasts, see the log of kube-ipvsd: the API server has not delivered every list",
        ),
        Some(sync) if sync.failed > 0 => {
            let last = status.recent_failures.last();
            let last = last.map_or(String::new(), |failure| {
                format!("; the last failure: {}", failure.problem)
            });
            Diagnosis::problem(
                check,
                format!(
                    "{} failed in the sync of {}{last}",
                    count(sync.failed, "change"),
                    sync.time
                ),
                "the Services of these entries are not served, or not as they should be; kube-ipvsd retries",
                "see /statusz and the log of kube-ipvsd for all failures",
            )
        }
        Some(sync) => {
            let version = &status.version;
            Diagnosis::ok(
                check,
                format!("last sync of kube-ipvsd {version} at {}", sync.time),
            )
        }
    }
}

/// Reports failing readings, and failing entries grouped by their reason.
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
            "differences in this part of the tables are not repaired",
            "see the log of kube-ipvsd; it retries",
        )
    });
    let mut found: Vec<Diagnosis> = readings.collect();
    found.extend(reasons.into_iter().map(|((reason, advice), entries)| {
        let since = entries.iter().map(|entry| &*entry.since).min();
        let names: Vec<String> = entries.iter().map(|entry| named(entry)).collect();
        let since = since.unwrap_or_default();
        let number = match entries.len() {
            1 => "1 failing entry".to_owned(),
            many => format!("{many} failing entries"),
        };
        Diagnosis::problem(
            check,
            format!("{number} since {since}: {reason}"),
            "the Services of these entries are not served, or not as they should be; kube-ipvsd retries with a back-off of \
             at most syncPeriod",
            advice,
        )
        .about(entries.iter().filter_map(|entry| service(entry)).collect())
        .with(names)
    }));
    let hidden = (status.counts.failing_entries).saturating_sub(status.failing_entries.len());
    if hidden > 0 {
        found.push(Diagnosis::problem(
            check,
            format!("{hidden} more failing entries, which /statusz does not list"),
            "the Services of these entries are not served, or not as they should be",
            "fix the failures above first",
        ));
    }
    if found.is_empty() {
        found.push(Diagnosis::ok(
            check,
            "no reading and no write of kube-ipvsd fails",
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

/// Returns the Service of an entry, whose port the status names too.
fn service(entry: &FailingEntry) -> Option<ObjectName> {
    let owner = entry.service.as_deref()?.split(':').next()?;
    ObjectName::parse_owner(owner)
}

/// Checks the sources from which kube-ipvsd reads objects.
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
            "the node serves its last known state; changes of the cluster do not reach it"
        } else {
            "kube-ipvsd waits until every source has delivered a full list"
        };
        match (&**state, last_error) {
            ("watching", _) => {}
            ("listing", _) if *listed => {}
            ("listing", _) => found.push(Diagnosis::warning(
                check,
                format!("{name}: no full list yet, listing since {since}"),
                consequence,
                "wait; if it lasts, see the log of kube-ipvsd",
            )),
            (_, error) => {
                let why = error
                    .as_ref()
                    .map_or(String::new(), |error| format!(": {}", error.message));
                found.push(Diagnosis::problem(
                    check,
                    format!("{name}: {state} since {since}{why}"),
                    consequence,
                    "see the log of kube-ipvsd for what to do; kube-ipvsd retries",
                ));
            }
        }
    }
    if found.is_empty() && !status.sources.is_empty() {
        let names: Vec<String> = status.sources.keys().cloned().collect();
        let all = some(&names);
        found.push(Diagnosis::ok(check, format!("kube-ipvsd watches {all}")));
    }
    found
}

/// Reports kube-ipvsd's findings about the cluster.
pub(super) fn findings(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "findings";
    let Some(status) = facts.daemon.status.as_ref().filter(|_| facts.is_kept()) else {
        return own_findings(facts);
    };
    let mut odd: Vec<&DaemonFinding> = (status.findings.iter())
        .filter(|finding| !is_own(&finding.code) && severity(finding) > Severity::Ok)
        .collect();
    odd.sort_by_key(|finding| (std::cmp::Reverse(severity(finding)), *finding));
    let Some(worst) = odd.first().map(|finding| severity(finding)) else {
        return vec![Diagnosis::ok(
            check,
            "kube-ipvsd reports no warnings or errors about objects",
        )];
    };
    let texts: Vec<String> = odd.iter().map(|finding| finding.text.clone()).collect();
    vec![listed(worst, texts)]
}

/// Reports findings about objects, the worst first, as one result.
fn listed(worst: Severity, texts: Vec<String>) -> Diagnosis {
    let diagnosis = Diagnosis::warning(
        "findings",
        format!(
            "{} about objects of the cluster",
            count(texts.len(), "finding")
        ),
        "a part of these Services is not served, or not as its author means",
        "list them by ipvsctl analyze; ipvsctl analyze --explain CODE gives advice",
    );
    Diagnosis {
        severity: worst,
        ..diagnosis
    }
    .with(texts)
}

/// Returns the findings that the objects of the command line cause, for a node without kube-ipvsd.
fn own_findings(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "findings";
    let Some(compared) = facts.compared() else {
        return Vec::new();
    };
    let all = compared
        .input
        .findings
        .iter()
        .chain(compared.plan.findings.values());
    let mut odd: Vec<&model::Finding> = all
        .filter(|finding| Severity::from(finding.code.level()) > Severity::Ok)
        .filter(|finding| !is_own(finding.code.as_str()))
        .collect();
    odd.sort_by_key(|finding| (std::cmp::Reverse(finding.code.level()), *finding));
    match odd.first() {
        None => vec![Diagnosis::ok(check, "no warnings or errors about objects")],
        Some(worst) => {
            let texts = odd.iter().map(ToString::to_string).collect();
            vec![listed(worst.code.level().into(), texts)]
        }
    }
}

fn severity(finding: &DaemonFinding) -> Severity {
    match &*finding.level {
        "error" => Severity::Problem,
        "warning" => Severity::Warning,
        _ => Severity::Ok,
    }
}
