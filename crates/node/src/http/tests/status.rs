//! Tests of the daemon's status as text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::finding::{Code, Finding};
use model::names::ObjectName;
use model::plan::Summary;

use crate::health::{Moment, SourceErrorReport, SourceReport};
use crate::http::status::{
    Counts, DrainStatus, FailingEntry, FailingReading, Failure, FindingStatus, LastSync, Status,
};
use crate::metrics::TableCounts;
use reconciler::{Report, Trigger};

#[test]
fn the_text_shows_everything() {
    let nodes = SourceReport {
        state: "refused".to_owned(),
        since: "2026-01-02T03:05:00Z".to_owned(),
        listed: true,
        last_success: Some("2026-01-02T03:04:50Z".to_owned()),
        last_error: Some(SourceErrorReport {
            time: "2026-01-02T03:05:05Z".to_owned(),
            kind: "forbidden".to_owned(),
            message: "failed to watch nodes: 403".to_owned(),
        }),
        watch_restarts: 3,
        relists: 1,
    };
    let mut status = Status {
        version: "0.1.0".to_owned(),
        node_name: "node1".to_owned(),
        started: "2026-01-02T03:04:05Z".to_owned(),
        last_sync: Some(LastSync {
            time: "2026-01-02T03:05:05Z".to_owned(),
            cause: "change".to_owned(),
            took_seconds: 0.0123,
            added: 3,
            changed: 2,
            deleted: 1,
            failed: 1,
        }),
        sources: BTreeMap::from([("nodes", nodes)]),
        counts: Counts {
            virtual_servers: 20,
            real_servers: 60,
            addresses: 12,
            set_entries: 40,
            foreign_virtual_servers: 1,
            health_checks: 2,
            failing_entries: 1,
            draining_real_servers: 1,
            slow_starts: 2,
            large_services_waiting: 1,
            entries_waiting: 4_000,
        },
        failing_entries: vec![FailingEntry {
            kind: "virtual_server",
            entry: "virtual server 10.96.0.10:80/TCP".to_owned(),
            service: Some("shop/web:http".to_owned()),
            desired: true,
            since: "2026-01-02T03:05:05Z".to_owned(),
            failures: 3,
            next_attempt: Some("2026-01-02T03:05:07Z".to_owned()),
            reason: "refused".to_owned(),
            advice: "load it",
        }],
        failing_readings: vec![FailingReading {
            column: "sets",
            task: "reading of sets".to_owned(),
            since: "2026-01-02T03:05:05Z".to_owned(),
            failures: 2,
            next_attempt: None,
        }],
        findings: BTreeSet::from([FindingStatus {
            code: "KIV0401".to_owned(),
            level: "warning".to_owned(),
            text: "KIV0401 warning Node node1".to_owned(),
        }]),
        drains: vec![DrainStatus {
            virtual_server: "10.96.0.10:80/TCP".to_owned(),
            real_server: "10.1.2.3:8080".to_owned(),
            service: Some("shop/web:http".to_owned()),
            since: "2026-01-02T03:05:05Z".to_owned(),
            active_connections: 2,
            inactive_connections: 1,
            ends: Some("2026-01-02T03:20:05Z".to_owned()),
        }],
        ..Status::default()
    };
    for number in 1..=2 {
        status.failed(Failure {
            time: format!("2026-01-02T03:05:0{number}Z"),
            problem: format!("problem {number}"),
        });
    }
    assert_eq!(
        status.to_string(),
        "\
kube-ipvsd 0.1.0 on node1, since 2026-01-02T03:04:05Z
Last sync: 2026-01-02T03:05:05Z, change, 0.012 s, 3 added, 2 changed, 1 deleted, 1 failed
Source nodes: refused since 2026-01-02T03:05:00Z, last success 2026-01-02T03:04:50Z, 3 watch restarts, 1 relists; last \
error 2026-01-02T03:05:05Z: failed to watch nodes: 403
Virtual servers: 20
Real servers: 60
Addresses: 12
Set entries: 40
Foreign virtual servers: 1
Health-check ports: 2
Slow starts: 2
Waiting: 1 large Services, 4000 entries

Findings: 1
  KIV0401 warning Node node1

Failing entries: 1
  virtual server 10.96.0.10:80/TCP (shop/web:http): refused; 3 failures since 2026-01-02T03:05:05Z, next attempt at \
2026-01-02T03:05:07Z; load it

Failing readings: 1
  reading of sets: 2 failures since 2026-01-02T03:05:05Z

Draining: 1
  10.1.2.3:8080 of 10.96.0.10:80/TCP (shop/web:http): 2 active, 1 inactive connections, since 2026-01-02T03:05:05Z, until 2026-01-02T03:20:05Z

Recent failures: 2
  2026-01-02T03:05:02Z problem 2
  2026-01-02T03:05:01Z problem 1
"
    );
}

#[test]
fn long_sections_are_cut() {
    let finding = |number: u32| FindingStatus {
        text: number.to_string(),
        ..FindingStatus::default()
    };
    let status = Status {
        findings: (0..1000).map(finding).collect(),
        ..Status::default()
    };
    let text = status.to_string();
    assert!(text.contains("\nFindings: 1000\n"));
    assert!(text.contains("\n  and 950 more\n"));
    assert!(text.lines().count() < 80);
}

#[test]
fn recent_failures_are_limited() {
    let mut status = Status::default();
    for number in 0..100 {
        status.failed(Failure {
            time: String::new(),
            problem: number.to_string(),
        });
    }
    let kept: Vec<&str> = (status.recent_failures.iter())
        .map(|failure| failure.problem.as_str())
        .collect();
    assert_eq!(kept.len(), 32);
    assert_eq!((kept[0], kept[31]), ("68", "99"));
}

#[test]
fn reports_update_the_status() {
    let mut status = Status::default();
    let now = Moment::now();
    let finding = Finding {
        code: Code::ServiceClash,
        kind: "Service",
        object: ObjectName::new("shop", "web"),
        field: "spec.clusterIPs[0]".to_owned(),
        problem: "taken".to_owned(),
        consequence: "left out".to_owned(),
    };
    let synced = Report::Synced {
        trigger: Trigger::Change,
        first: true,
        summary: Summary::default(),
        done: Summary {
            add: 1,
            change: 2,
            delete: 3,
        },
        failed: 4,
        took: Duration::from_millis(1500),
    };
    status.observe(&synced, now);
    status.observe(&Report::FindingRaised(finding.clone()), now);
    let expected = LastSync {
        time: now.time.to_string(),
        cause: "first sync".to_owned(),
        took_seconds: 1.5,
        added: 1,
        changed: 2,
        deleted: 3,
        failed: 4,
    };
    assert_eq!(status.last_sync, Some(expected));
    let texts: Vec<&str> = status.findings.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(
        texts,
        ["KIV0201 error Service shop/web: spec.clusterIPs[0]: taken; left out"]
    );
    status.observe(&Report::FindingCleared(finding), now);
    assert!(status.findings.is_empty());
}

#[test]
fn new_counts_keep_the_other_counts() {
    let mut status = Status::default();
    status.counts.health_checks = 3;
    status.counted(&TableCounts {
        addresses: 7,
        ..TableCounts::default()
    });
    let expected = Counts {
        addresses: 7,
        health_checks: 3,
        ..Counts::default()
    };
    assert_eq!(status.counts, expected);
}
