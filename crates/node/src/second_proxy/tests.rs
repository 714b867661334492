//! Tests of the signs of a second proxy.

use std::collections::BTreeSet;

use ipvs::AddressFamily::{Ipv4, Ipv6};
use ipvs::VirtualServerKey;
use model::plan::{Op, PlannedOp, Reason, Summary};
use reconciler::Event;
use support::pages::serve;

use super::*;
use crate::http::tests::metrics;
use crate::mailbox::{NodeInbox, mailbox};

const AUDIT: Duration = Duration::from_secs(30);

struct Watched {
    watch: SecondProxyWatch,
    inbox: NodeInbox,
    metrics: Arc<Metrics>,
    began: Instant,
}

impl Watched {
    fn new(sync_period: Duration) -> Self {
        let (events, inbox) = mailbox();
        let metrics = metrics();
        let watch = SecondProxyWatch::new("node1".into(), sync_period, events, metrics.clone());
        Self {
            watch,
            inbox,
            metrics,
            began: Instant::now(),
        }
    }

    /// Reports a sync at the time `at`, with or without a repair.
    fn sync(&mut self, trigger: Trigger, at: Duration, repairs: bool) {
        let now = Moment {
            instant: self.began + at,
            ..Moment::now()
        };
        if repairs {
            let drift = PlannedOp {
                op: Op::DelVirtualServer(VirtualServerKey::Address {
                    address: [10, 96, 0, 1].into(),
                    port: 80,
                    protocol: ipvs::Protocol::Tcp,
                }),
                owner: None,
                reason: Reason::Missing,
            };
            self.watch.reported(&Report::Drift(drift), now);
        }
        let synced = Report::Synced {
            trigger,
            first: false,
            summary: Summary::default(),
            done: Summary::default(),
            failed: 0,
            took: Duration::ZERO,
        };
        self.watch.reported(&synced, now);
    }

    fn see(&mut self, sign: Sign, at: Duration) {
        lock(&self.watch.signs).see(sign, format!("{sign:?} at {at:?}"), self.began + at);
    }

    fn expire(&mut self, at: Duration) {
        lock(&self.watch.signs).expire(self.began + at);
    }

    /// Returns the signs whose findings were raised, and cleared, since the last call.
    fn changes(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut raised, mut cleared) = (Vec::new(), Vec::new());
        for event in self.inbox.try_take() {
            match event {
                Event::Found(finding) => raised.push(finding.field),
                Event::Gone(finding) => cleared.push(finding.field),
                other => panic!("{other:?}"),
            }
        }
        (raised, cleared)
    }

    fn shows(&self, sign: Sign, value: u8) -> bool {
        let name = sign.name();
        let line = format!("kubeipvs_second_proxy_detected{{sign=\"{name}\"}} {value}\n");
        let page = self.metrics.text(Instant::now()).expect("text");
        page.contains(&line)
    }
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_sign_is_reported_once_and_ends_five_minutes_after_it_was_last_seen() {
    let mut watched = Watched::new(AUDIT);
    let after = Duration::from_secs;
    assert!(watched.shows(Sign::Listener, 0));
    for look in 0..20 {
        watched.see(Sign::Listener, after(30 * look));
        watched.expire(after(30 * look));
    }
    assert_eq!(watched.changes(), (vec!["listener".to_owned()], none()));
    assert!(watched.shows(Sign::Listener, 1) && watched.shows(Sign::Process, 0));
    watched.expire(after(30 * 19 + 299));
    assert_eq!(watched.changes(), (none(), none()));
    watched.expire(after(30 * 19 + 300));
    assert_eq!(watched.changes(), (none(), vec!["listener".to_owned()]));
    assert!(watched.shows(Sign::Listener, 0));
}

#[test]
fn a_sign_that_appears_repeatedly_is_one_finding() {
    let mut watched = Watched::new(AUDIT);
    for minute in 0..60 {
        watched.see(Sign::Process, Duration::from_secs(60 * minute));
        watched.expire(Duration::from_secs(60 * minute + 30));
    }
    assert_eq!(watched.changes(), (vec!["process".to_owned()], none()));
}

#[test]
fn repairs_of_two_consecutive_audits_are_a_sign() {
    let mut watched = Watched::new(AUDIT);
    for audit in 0..5 {
        watched.sync(Trigger::Audit, audit * AUDIT, false);
    }
    watched.sync(Trigger::Audit, 5 * AUDIT, true);
    assert_eq!(watched.changes(), (none(), none()));
    watched.sync(Trigger::Audit, 6 * AUDIT, true);
    assert_eq!(watched.changes(), (vec!["writes".to_owned()], none()));
    assert!(watched.shows(Sign::Writes, 1));
}

#[test]
fn one_audit_without_repairs_does_not_reset_the_count() {
    let mut watched = Watched::new(AUDIT);
    for (audit, repairs) in [true, false, true].into_iter().enumerate() {
        let audit = u32::try_from(audit).expect("small");
        watched.sync(Trigger::Audit, audit * AUDIT, repairs);
    }
    assert_eq!(watched.changes(), (vec!["writes".to_owned()], none()));
}

#[test]
fn occasional_repairs_are_no_sign() {
    let mut watched = Watched::new(AUDIT);
    for audit in 0..300 {
        watched.sync(Trigger::Audit, audit * AUDIT, audit % 3 == 0);
    }
    // An administrator who runs many commands causes repairs in quick succession.
    for second in 0..10 {
        let at = 300 * AUDIT + Duration::from_secs(second);
        watched.sync(Trigger::Node, at, true);
        watched.sync(Trigger::AuditSlice, at, true);
    }
    for change in 0..300 {
        watched.sync(Trigger::Change, 310 * AUDIT + change * AUDIT, false);
    }
    assert_eq!(watched.changes(), (none(), none()));
}

#[test]
fn short_periods_need_several_repairs() {
    let second = Duration::from_secs(1);
    let mut watched = Watched::new(second);
    for audit in 0..15 {
        watched.sync(Trigger::Audit, audit * second, true);
    }
    assert_eq!(watched.changes(), (none(), none()));
    watched.sync(Trigger::Audit, 15 * second, true);
    assert_eq!(watched.changes(), (vec!["writes".to_owned()], none()));
}

#[test]
fn tables_that_existed_at_the_start_are_no_sign() {
    let mut look = look::Look::default();
    let both = BTreeSet::from([Ipv4, Ipv6]);
    let one = BTreeSet::from([Ipv6]);
    assert!(look.new_tables(&one).is_empty());
    assert!(look.new_tables(&one).is_empty());
    assert_eq!(look.new_tables(&both), BTreeSet::from([Ipv4]));
    assert!(look.new_tables(&one).is_empty());
    // A new kube-proxy deletes and creates both tables.
    assert!(look.new_tables(&BTreeSet::new()).is_empty());
    assert_eq!(look.new_tables(&both), both);
}

#[test]
fn a_proxy_is_detected_by_its_metrics_server_and_by_its_health_server() {
    let metrics = serve(&[("/proxyMode", "ipvs")]);
    let found = look::answer(metrics).expect("a proxy");
    assert_eq!(
        found,
        format!("kube-proxy (mode ipvs) answers at {metrics}")
    );
    let page = r#"{"lastUpdated": "x", "currentTime": "y"}"#;
    let health = serve(&[("/healthz", page)]);
    let found = look::answer(health).expect("a proxy");
    assert!(found.starts_with("a service proxy answers at"), "{found}");
    let other = serve(&[("/proxyMode", "ok"), ("/healthz", "ok")]);
    assert_eq!(look::answer(other), None);
}

#[test]
fn this_process_is_not_a_second_proxy() {
    let own = serve(&[("/proxyMode", "ipvs")]);
    let found = look::Look::default().look(&BTreeSet::from([own.port()]));
    let listeners = (found.iter()).filter(|(sign, _)| *sign == Sign::Listener);
    assert_eq!(listeners.count(), 0, "{found:?}");
}
