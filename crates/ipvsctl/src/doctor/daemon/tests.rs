use std::net::SocketAddr;

use sources::proxy::{METRICS, Running};

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{check, diagnoses, healthy, watching, without_daemon};
use crate::schema::{
    DaemonFailure, DaemonFinding, DaemonSource, DaemonSourceError, DaemonStatus, FailingEntry,
    FailingReading,
};

fn elsewhere() -> SocketAddr {
    "127.0.0.1:20249".parse().expect("an address")
}

#[test]
fn exactly_one_kube_ipvsd_must_answer() {
    check(
        "proxies",
        |_| {},
        &["ok: kube-ipvsd answers at 127.0.0.1:10249"],
    );
    check(
        "proxies",
        without_daemon,
        &["problem: kube-ipvsd does not answer at 127.0.0.1:10249"],
    );
    let of_kube_proxy = || Running::KubeProxy("ipvs".to_owned());
    check(
        "proxies",
        |facts| facts.proxies = vec![(METRICS, of_kube_proxy())],
        &["problem: kube-proxy (mode ipvs) answers at 127.0.0.1:10249"],
    );
    check(
        "proxies",
        |facts| facts.proxies.push((elsewhere(), of_kube_proxy())),
        &[
            "problem: kube-proxy (mode ipvs) answers at 127.0.0.1:20249",
            "ok: kube-ipvsd answers at 127.0.0.1:10249",
        ],
    );
    check(
        "proxies",
        |facts| facts.proxies.push((elsewhere(), Running::KubeIpvs)),
        &["problem: more than one kube-ipvsd answers: 127.0.0.1:10249, 127.0.0.1:20249"],
    );
}

#[test]
fn second_proxy_noticed_by_the_daemon_is_a_problem() {
    let noticed = |facts: &mut NodeFacts| {
        let finding = DaemonFinding {
            code: "KIV0410".to_owned(),
            level: "error".to_owned(),
            text: "KIV0410 error Node node1: writes: another program".to_owned(),
        };
        let status = facts.daemon.status.as_mut().expect("a status");
        status.findings = [finding].into_iter().collect();
    };
    let expected = [
        "problem: KIV0410 error Node node1: writes: another program",
        "ok: kube-ipvsd answers at 127.0.0.1:10249",
    ];
    check("proxies", noticed, &expected);
    let mut facts = healthy();
    noticed(&mut facts);
    let shown = crate::schema::Checkup::from(&crate::doctor::examine(&facts));
    let codes = shown.checks.iter().filter(|found| found.check == "proxies");
    let codes: Vec<_> = codes.map(|found| found.code).collect();
    assert_eq!(codes, [Some("KIV0410"), None]);
    check(
        "findings",
        noticed,
        &["ok: kube-ipvsd reports no warnings or errors about objects"],
    );
}

/// Lets `/healthz` answer with status 503.
fn leaving(facts: &mut NodeFacts) {
    let health = facts.daemon.health.as_mut().expect("an answer");
    health.healthz = Err("/healthz was answered by status 503".to_owned());
}

/// Lets `/healthz` and `/livez` answer with status 503.
fn sick(facts: &mut NodeFacts) {
    leaving(facts);
    let health = facts.daemon.health.as_mut().expect("an answer");
    health.livez = Err("/livez was answered by status 503".to_owned());
}

#[test]
fn health_of_kube_ipvsd_is_reported() {
    let healthy = "ok: /healthz at 127.0.0.1:10256 reports healthy";
    let unhealthy = "problem: at 127.0.0.1:10256 /livez was answered by status 503";
    check("healthz", |_| {}, &[healthy]);
    check("healthz", sick, &[unhealthy]);
    let expected = [
        "warning: at 127.0.0.1:10256 /healthz was answered by status 503, but /livez reports healthy",
    ];
    check("healthz", leaving, &expected);
    // The check `proxies` reports kube-proxy, or that no proxy answers.
    let gone = |facts: &mut NodeFacts| {
        sick(facts);
        facts.proxies.clear();
    };
    check("healthz", gone, &[]);
    let without_metrics = |facts: &mut NodeFacts| {
        gone(facts);
        facts.daemon.metrics = None;
    };
    check("healthz", without_metrics, &[unhealthy]);
    check("proxies", without_metrics, &[]);
}

fn check_status(change: impl FnOnce(&mut DaemonStatus), expected: &[&str]) {
    let change = |facts: &mut NodeFacts| change(facts.daemon.status.as_mut().expect("a status"));
    check("synchronisation", change, expected);
}

#[test]
fn failed_sync_is_reported_with_its_last_failure() {
    check_status(
        |_| {},
        &["ok: last sync of kube-ipvsd 0.1.0 at 2026-01-02T03:04:05Z"],
    );
    check_status(
        |status| status.last_sync = None,
        &["warning: kube-ipvsd 0.1.0 has not completed a sync yet"],
    );
    let failed = |status: &mut DaemonStatus| {
        status.last_sync.as_mut().expect("one").failed = 2;
        let problem = "failed to add address 10.96.0.10".to_owned();
        status.recent_failures.push(DaemonFailure { problem });
    };
    check_status(
        failed,
        &[
            "problem: 2 changes failed in the sync of 2026-01-02T03:04:05Z; the last failure: failed to add address 10.96.0.10",
        ],
    );
    check(
        "synchronisation",
        |facts| facts.daemon.status = None,
        &["warning: /statusz of kube-ipvsd cannot be read"],
    );
}

fn entry(entry: &str, service: Option<&str>, reason: &str) -> FailingEntry {
    FailingEntry {
        entry: entry.to_owned(),
        service: service.map(str::to_owned),
        since: "2026-01-02T03:04:05Z".to_owned(),
        reason: reason.to_owned(),
        advice: "load it".to_owned(),
    }
}

#[test]
fn failing_entries_are_grouped_by_reason() {
    let ok = "ok: no reading and no write of kube-ipvsd fails";
    check("failing", |_| {}, &[ok]);
    check("failing", |facts| facts.daemon.status = None, &[]);
    let failing = |facts: &mut NodeFacts| {
        let status = facts.daemon.status.as_mut().expect("a status");
        status.counts.failing_entries = 12;
        status.failing_entries = vec![
            entry("IPv4 rules", None, "no module"),
            entry("set KUBE-A", None, "full"),
            entry("virtual server 10.0.0.1:80/TCP", Some("shop/web"), "full"),
        ];
        status.failing_readings = vec![FailingReading {
            task: "reading of sets".to_owned(),
            since: "2026-01-02T03:04:05Z".to_owned(),
            failures: 1,
        }];
    };
    check(
        "failing",
        failing,
        &[
            "problem: reading of sets: 1 failure since 2026-01-02T03:04:05Z",
            "problem: 2 failing entries since 2026-01-02T03:04:05Z: full",
            "problem: 1 failing entry since 2026-01-02T03:04:05Z: no module",
            "problem: 9 more failing entries, which /statusz does not list",
        ],
    );
    let mut facts = healthy();
    failing(&mut facts);
    let full = &diagnoses(&facts, "failing")[1];
    assert_eq!(
        full.details,
        ["set KUBE-A", "virtual server 10.0.0.1:80/TCP (shop/web)"]
    );
    assert_eq!(
        full.services,
        [model::ObjectName::new("shop", "web")].into()
    );
}

/// Checks the diagnosis of a source in `state` with `error` as its last one.
fn check_source(state: &str, listed: bool, error: Option<&str>, expected: &str) {
    let change = |facts: &mut NodeFacts| {
        let source = DaemonSource {
            state: state.to_owned(),
            listed,
            last_error: error.map(|message| DaemonSourceError {
                message: message.to_owned(),
            }),
            ..watching()
        };
        let status = facts.daemon.status.as_mut().expect("a status");
        status.sources.insert("services".to_owned(), source);
    };
    check("sources", change, &[expected]);
}

#[test]
fn failing_source_is_a_problem() {
    let ok = "ok: kube-ipvsd watches services";
    check_source("watching", true, None, ok);
    check_source("watching", true, Some("over"), ok);
    check_source("listing", true, None, ok);
    check_source(
        "listing",
        false,
        None,
        "warning: services: no full list yet, listing since 2026-01-02T03:04:05Z",
    );
    check_source(
        "refused",
        false,
        Some("failed to list services: 403"),
        "problem: services: refused since 2026-01-02T03:04:05Z: failed to list services: 403",
    );
}

/// Checks the diagnoses if kube-ipvsd reports these findings, each a code and a level.
fn check_findings(reported: &[(&str, &str)], expected: &[&str]) {
    check("findings", |facts| report(facts, reported), expected);
}

fn report(facts: &mut NodeFacts, reported: &[(&str, &str)]) {
    let findings = reported.iter().map(|(code, level)| DaemonFinding {
        code: (*code).to_owned(),
        level: (*level).to_owned(),
        text: format!("{code} {level} Service default/web"),
    });
    facts.daemon.status.as_mut().expect("a status").findings = findings.collect();
}

#[test]
fn findings_are_listed_with_the_worst_first() {
    let nothing = ["ok: kube-ipvsd reports no warnings or errors about objects"];
    check_findings(&[], &nothing);
    check_findings(&[("KIV0111", "info")], &nothing);
    // Another check reports this code.
    check_findings(&[("KIV0403", "warning")], &nothing);
    let expected = ["warning: 1 finding about objects of the cluster"];
    check_findings(&[("KIV0107", "warning"), ("KIV0111", "info")], &expected);
    let expected = ["problem: 2 findings about objects of the cluster"];
    let both = [("KIV0107", "warning"), ("KIV0201", "error")];
    check_findings(&both, &expected);
    let mut facts = healthy();
    report(&mut facts, &both);
    let expected = [
        "KIV0201 error Service default/web",
        "KIV0107 warning Service default/web",
    ];
    assert_eq!(diagnoses(&facts, "findings")[0].details, expected);
}

#[test]
fn findings_are_those_of_the_objects_if_kube_ipvsd_does_not_run() {
    check(
        "findings",
        |facts| {
            without_daemon(facts);
            let compared = facts.desired.as_mut().expect("tables");
            compared.input.findings.push(model::Finding {
                code: model::Code::OwnAddress,
                kind: "Service",
                object: model::ObjectName::new("shop", "web"),
                field: "spec.externalIPs[0]".to_owned(),
                problem: "it is an address of this node".to_owned(),
                consequence: "it is not served".to_owned(),
            });
        },
        &["warning: 1 finding about objects of the cluster"],
    );
    check(
        "findings",
        without_daemon,
        &["ok: no warnings or errors about objects"],
    );
}
