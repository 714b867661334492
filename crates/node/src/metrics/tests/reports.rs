//! Tests of metrics that reports of the reconciler and outcomes of the kernel change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipset::{Entry, Family, HashType, Header, Set, SetName};
use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    VirtualServer, VirtualServerKey,
};
use jiff::Timestamp;
use kernel::Errno;
use model::finding::{Code, Finding};
use model::names::ObjectName;
use model::plan::{Op, PlannedOp, Reason, Stage, Summary};
use model::tables::{NodeTables, VirtualServerEntry};

use super::{Metrics, TableCounts, check, metrics};
use crate::health::Moment;
use reconciler::{Report, Trigger};

/// Returns the moment at Unix time `seconds`.
fn moment(seconds: i64) -> Moment {
    Moment {
        instant: Instant::now(),
        time: Timestamp::from_second(seconds).expect("a time"),
    }
}

fn key(port: u16) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: [10, 96, 0, 10].into(),
        port,
        protocol: Protocol::Tcp,
    }
}

fn server(port: u16, weights: &[u32]) -> VirtualServerEntry {
    let real_server = |(index, weight): (usize, &u32)| RealServer {
        key: RealServerKey {
            address: [10, 1, 2, 3].into(),
            port: 8080 + u16::try_from(index).expect("few"),
        },
        forwarding: Forwarding::Masquerade,
        weight: *weight,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    let real_servers = weights.iter().enumerate().map(real_server);
    VirtualServerEntry {
        server: VirtualServer {
            key: key(port),
            scheduler: Scheduler("rr".into()),
            flags: ServiceFlags::empty(),
            persistence_timeout: Duration::ZERO,
            persistence_prefix: 32,
            persistence_engine: None,
        },
        real_servers: real_servers.collect(),
    }
}

/// Returns two virtual servers with one draining real server, and two sets.
pub(super) fn tables() -> NodeTables {
    let servers = [server(80, &[1, 1, 0]), server(443, &[1])];
    let hash = Header::Hash {
        hash_type: HashType::IpPort,
        family: Family::Inet,
        max_elements: 65_536,
    };
    let ports = Header::BitmapPort {
        first: 0,
        last: 65_535,
    };
    let set = |header, entries: &[Entry]| Set {
        header,
        entries: entries.iter().copied().collect(),
    };
    NodeTables {
        virtual_servers: (servers.into_iter())
            .map(|entry| (entry.server.key, Arc::new(entry)))
            .collect(),
        sets: BTreeMap::from([
            (SetName::cut("KUBE-CLUSTER-IP"), set(hash, &[])),
            (
                SetName::cut("KUBE-NODE-PORT-TCP"),
                set(ports, &[Entry::Port(30_080)]),
            ),
        ]),
        ..NodeTables::default()
    }
}

fn planned(op: Op) -> PlannedOp {
    PlannedOp {
        op,
        owner: None,
        reason: Reason::Missing,
    }
}

/// Applies two ops that succeed and two that fail.
pub(super) fn apply(metrics: &Metrics) {
    let add = Op::AddVirtualServer(server(80, &[]).server);
    let delete = Op::DelVirtualServer(key(81));
    let rules = Op::PatchRules(AddressFamily::Ipv6, Arc::default());
    let stage = Stage {
        ops: [&add, &add, &delete, &rules]
            .map(|op| planned(op.clone()))
            .into(),
    };
    let outcomes = [
        Ok(()),
        Ok(()),
        Err(kernel::op_error(delete, Errno(libc::ESRCH))),
        Err(kernel::op_error(rules, Errno(libc::EINVAL))),
    ];
    metrics.applied(&stage, &outcomes);
    metrics.observe(&Report::Drift(planned(add)), moment(1));
}

#[test]
fn ops_are_counted_by_kind_and_errors_by_number() {
    let metrics = metrics();
    apply(&metrics);
    check(
        &metrics,
        &[
            r#"kubeipvs_kernel_operations_total{operation="add_virtual_server"} 2"#,
            r#"kubeipvs_kernel_operations_total{operation="delete_virtual_server"} 1"#,
            r#"kubeipvs_kernel_errors_total{errno="ESRCH",operation="delete_virtual_server"} 1"#,
            r#"kubeipvs_kernel_errors_total{errno="EINVAL",operation="patch_rules"} 1"#,
            r#"kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv6"} 1"#,
            r#"kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"} 0"#,
            r#"kubeipvs_drift_repaired_total{operation="add_virtual_server"} 1"#,
        ],
    );
}

#[test]
fn findings_are_counted_until_they_are_cleared() {
    let metrics = metrics();
    let finding = |name: &str| Finding {
        code: Code::ServiceClash,
        kind: "Service",
        object: ObjectName::new("shop", name),
        field: String::new(),
        problem: String::new(),
        consequence: String::new(),
    };
    for name in ["a", "b"] {
        metrics.observe(&Report::FindingRaised(finding(name)), moment(1));
    }
    check(
        &metrics,
        &[r#"kubeipvs_findings{code="KIV0201",level="error"} 2"#],
    );
    metrics.observe(&Report::FindingCleared(finding("a")), moment(2));
    check(
        &metrics,
        &[r#"kubeipvs_findings{code="KIV0201",level="error"} 1"#],
    );
}

fn synced(trigger: Trigger, failed: usize) -> Report {
    Report::Synced {
        trigger,
        first: false,
        summary: Summary::default(),
        done: Summary::default(),
        failed,
        took: Duration::from_millis(5),
    }
}

#[test]
fn syncs_are_counted_by_cause_and_result() {
    let metrics = metrics();
    metrics.observe(&synced(Trigger::Audit, 0), moment(100));
    metrics.observe(&synced(Trigger::Change, 0), moment(200));
    metrics.observe(&synced(Trigger::Change, 3), moment(200));
    metrics.observe(&Report::Audited, moment(200));
    check(
        &metrics,
        &[
            r#"kubeipvs_syncs_total{cause="audit",result="ok"} 1"#,
            r#"kubeipvs_syncs_total{cause="change",result="ok"} 1"#,
            r#"kubeipvs_syncs_total{cause="change",result="partial"} 1"#,
            r#"kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} 3"#,
        ],
    );
    let text = metrics.text(Instant::now()).expect("text");
    assert!(text.contains("\nkubeipvs_audit_age_seconds 0."), "{text}");
}

#[test]
fn both_families_are_settled_at_once() {
    let metrics = metrics();
    metrics.settled(moment(200).time.into());
    let name = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
    let lines = ["IPv4", "IPv6"].map(|family| format!("{name}{{ip_family=\"{family}\"}} 200"));
    check(&metrics, &[&lines[0], &lines[1]]);
}

#[test]
fn tables_are_counted() {
    let metrics = metrics();
    metrics.counted(&TableCounts::of(&tables()));
    check(
        &metrics,
        &[
            r#"kubeipvs_virtual_servers{ip_family="IPv4",protocol="TCP"} 2"#,
            r#"kubeipvs_virtual_servers{ip_family="IPv6",protocol="TCP"} 0"#,
            r#"kubeipvs_real_servers{ip_family="IPv4",protocol="TCP"} 4"#,
            r#"kubeipvs_draining_real_servers{ip_family="IPv4",protocol="TCP"} 1"#,
            r#"kubeipvs_set_entries{set="KUBE-CLUSTER-IP"} 0"#,
            r#"kubeipvs_set_entries_limit{set="KUBE-CLUSTER-IP"} 65536"#,
            r#"kubeipvs_set_entries{set="KUBE-NODE-PORT-TCP"} 1"#,
            r#"kubeipvs_set_entries_limit{set="KUBE-NODE-PORT-TCP"} 65536"#,
        ],
    );
    metrics.counted(&TableCounts::default());
    let text = metrics.text(Instant::now()).expect("text");
    assert!(text.contains("kubeipvs_virtual_servers{ip_family=\"IPv4\",protocol=\"TCP\"} 0\n"));
    assert!(!text.contains("KUBE-CLUSTER-IP"), "a deleted set");
}

#[test]
fn each_kind_of_op_has_a_distinct_name() {
    let set = SetName::cut("KUBE-CLUSTER-IP");
    let ops = [
        Op::EnsureDevice,
        Op::DelDevice,
        Op::DestroySet(set.clone()),
        Op::AddEntry(set.clone(), Entry::Port(1)),
        Op::DelEntry(set, Entry::Port(1)),
        Op::AddAddress([10, 96, 0, 10].into()),
        Op::DelAddress([10, 96, 0, 10].into()),
    ];
    let names: BTreeSet<&str> = ops.iter().map(super::super::op_name).collect();
    assert_eq!(names.len(), ops.len());
}
