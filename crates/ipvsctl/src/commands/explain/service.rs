//! The explanation of a Service.

use model::cluster::ServiceKind;
use model::{ObjectName, Reason};
use planner::{ServedSite, ServiceExplanation, SiteOutcome};

use super::scene::Scene;
use super::{endpoints, places, rules, verdict};
use crate::grouping::{self, Group};
use crate::schema::{self, API_VERSION, Change, DaemonChange, LastChange, PolicyValue};

/// Returns the explanation of a Service.
pub(super) fn explanation(
    scene: &Scene,
    explained: &ServiceExplanation,
) -> schema::ServiceExplanation {
    let service = &explained.service;
    let served: Vec<&ServedSite> = served(explained).collect();
    let changes = scene.changes(&[]);
    let node_changes = changes.groups.get(&Group::Node).into_iter().flatten();
    let node_changes: Vec<Change> = node_changes.map(Change::from).collect();
    let mut object = schema::ServiceExplanation {
        api_version: API_VERSION,
        kind: "ServiceExplanation",
        node_name: scene.input().config.node_name.to_string(),
        namespace: service.name.namespace.to_string(),
        name: service.name.name.to_string(),
        service_type: type_text(explained),
        internal_traffic_policy: places::policy_text(service.internal_policy),
        external_traffic_policy: places::policy_text(service.external_policy),
        affinity_seconds: service.affinity.map(|affinity| affinity.as_secs()),
        scheduler: (served.first()).map(|site| site.virtual_server.scheduler.0.to_string()),
        policy: (explained.policy.iter())
            .map(|value| PolicyValue {
                field: value.field.name(),
                value: value.value.clone(),
                origin: value.origin.to_string(),
            })
            .collect(),
        slices: explained.slices,
        health_check: explained
            .health_check
            .as_ref()
            .map(|check| schema::ServiceHealthCheck {
                port: check.port.get(),
                local_endpoints: check.local_endpoints,
            }),
        live_known: scene.live().is_some(),
        addresses: places::of(scene, explained),
        endpoints: endpoints::of(scene, explained),
        rules: rules::of(&scene.input().desired, &served),
        findings: findings(scene, explained),
        drift: drift(scene, &service.name),
        node_drift: node_changes.len(),
        node_changes,
        last_change: scene.last_change(&service.name).map(LastChange::from),
        verdict: schema::Verdict::default(),
    };
    object.verdict = verdict::of_service(&object);
    object
}

fn served(explained: &ServiceExplanation) -> impl Iterator<Item = &ServedSite> {
    explained
        .sites
        .iter()
        .filter_map(|site| match &site.outcome {
            SiteOutcome::Served(served) => Some(&**served),
            _ => None,
        })
}

fn type_text(explained: &ServiceExplanation) -> &'static str {
    match explained.service.kind {
        ServiceKind::ExternalName => "ExternalName",
        _ if explained.service.cluster_ips.is_empty() => "Headless",
        ServiceKind::ClusterIp => "ClusterIP",
        ServiceKind::NodePort => "NodePort",
        ServiceKind::LoadBalancer => "LoadBalancer",
    }
}

/// Returns the findings about the Service and its slices, those about its clashes, and rules of
/// other programs that harm its packets.
fn findings(scene: &Scene, explained: &ServiceExplanation) -> Vec<schema::Finding> {
    let own = explained.findings.iter();
    let name = &explained.service.name;
    let others = (scene.input().findings.iter())
        .filter(|finding| finding.kind == "Service" && finding.object == *name)
        .filter(|finding| !explained.findings.contains(finding));
    let foreign = served(explained).filter_map(|site| scene.foreign(site));
    let keys = served(explained).map(|site| site.virtual_server.key);
    let harmful = scene.harmful_rules(&keys.collect());
    let mut all: Vec<&model::Finding> = own.chain(others).chain(foreign).chain(&harmful).collect();
    all.sort_by(|a, b| b.code.level().cmp(&a.code.level()).then_with(|| a.cmp(b)));
    all.dedup();
    all.into_iter().map(schema::Finding::from).collect()
}

/// Returns the planned changes that `diff` shows for the Service `name`. The end of a drain is no
/// drift.
fn drift(scene: &Scene, name: &ObjectName) -> Vec<Change> {
    let changes = scene.changes(std::slice::from_ref(name));
    let is_drain = |change: &&grouping::Change<'_>| {
        matches!(
            change.planned.reason,
            Reason::Drained | Reason::DrainExpired
        )
    };
    (changes.iter().filter(|change| !is_drain(change)))
        .map(Change::from)
        .collect()
}

impl From<DaemonChange> for LastChange {
    fn from(change: DaemonChange) -> Self {
        let DaemonChange {
            time,
            effect,
            line,
            reason,
            service: _,
            cause,
            latency_seconds,
        } = change;
        Self {
            time,
            effect,
            line,
            reason,
            cause,
            latency_seconds,
        }
    }
}
