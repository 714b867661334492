//! The policy of one Service: from its annotations, then from the configuration.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::Protocol;
use model::SafeText;
use model::cluster::{Service, TrafficPolicy};
use model::config::NodeConfig;
use model::duration::format_duration;
use model::finding::{Code, Finding};
use model::names::Name;
use model::policy::{
    AffinityScope, Annotation, Given, PREFIX, PolicyField, SchedulerName, ServicePolicy,
    is_gradual, is_weighted,
};
use strsim::levenshtein;

use super::ports::UsablePort;
use super::{checks, policy};
use crate::explain::{PolicyExplanation, PolicyOrigin};
use crate::lower::ScopeRequest;

/// Origin of each field that is set.
pub(super) type Origins = BTreeMap<PolicyField, PolicyOrigin>;

/// Returns the path of `field` in the object that sets it.
pub(super) fn place_of(field: PolicyField, origins: &Origins) -> String {
    match origins.get(&field) {
        Some(PolicyOrigin::Rule(name)) => format!("servicePolicies[{name}].{}", field.name()),
        _ => format!("metadata.annotations[{PREFIX}{}]", field.annotation()),
    }
}

/// Maximum number of different letters in a misspelt annotation.
const MISSPELT: usize = 2;

/// Returns the policy of `service`, or `None` if nothing sets one, and the origins of its values.
///
/// An annotation with a mistake has no effect: the next origin decides, as for a Service without
/// the annotation.
pub(super) fn effective(
    service: &Service,
    ports: &[UsablePort],
    config: &NodeConfig,
    findings: &mut Vec<Finding>,
) -> (Option<ServicePolicy>, Origins) {
    if service.annotations.is_empty() && config.service_policies.is_empty() {
        return (None, Origins::new());
    }
    let mut reading = Reading {
        service,
        config,
        findings,
        policy: ServicePolicy::default(),
        origins: Origins::new(),
    };
    let mistakes: Vec<Mistake> = (service.annotations.iter())
        .filter_map(|annotation| reading.annotation(annotation).err())
        .collect();
    reading.rule();
    for mistake in mistakes {
        reading.report_mistake(mistake);
    }
    reading.check_scheduler();
    reading.check_effect(ports);
    let Reading {
        policy, origins, ..
    } = reading;
    ((!policy.is_empty()).then_some(policy), origins)
}

/// Returns the values that apply to a Service with this policy.
pub(super) fn explain(
    policy: Option<&ServicePolicy>,
    origins: &Origins,
    config: &NodeConfig,
) -> Vec<PolicyExplanation> {
    (PolicyField::ALL.iter())
        .filter_map(|field| {
            let set = policy.and_then(|policy| policy.text(*field));
            let (value, origin) = match (set, origins.get(field)) {
                (Some(value), Some(origin)) => (value, origin.clone()),
                _ => (of_node(*field, policy, config)?, PolicyOrigin::Node),
            };
            Some(PolicyExplanation {
                field: *field,
                value,
                origin,
            })
        })
        .collect()
}

/// Returns the request of `service` for one affinity at all ports.
pub(super) fn scope(
    service: &Service,
    policy: Option<&ServicePolicy>,
    origins: &Origins,
) -> Option<ScopeRequest> {
    let policy = policy.filter(|policy| policy.affinity_scope == Some(AffinityScope::Service))?;
    service.affinity?;
    Some(ScopeRequest {
        origin: (origins.get(&PolicyField::AffinityScope)).map_or(PolicyOrigin::Node, Clone::clone),
        checked: policy.health_check.is_some(),
    })
}

/// Returns the value that the node's configuration gives to `field`; `None` if it gives none.
fn of_node(
    field: PolicyField,
    policy: Option<&ServicePolicy>,
    config: &NodeConfig,
) -> Option<String> {
    match field {
        PolicyField::Scheduler => Some(config.scheduler.0.to_string()),
        PolicyField::SchedulerFlags => {
            let other = policy.and_then(|policy| policy.scheduler.as_ref());
            let is_other = other.is_some_and(|other| *other.0 != *config.scheduler.0);
            let flags = ipvs::text::scheduler_flags(&config.scheduler.0, config.scheduler_flags);
            let flags: Vec<_> = flags.into_iter().collect();
            (!is_other && !flags.is_empty()).then(|| flags.join(", "))
        }
        PolicyField::DrainTimeout => Some(format_duration(config.drain_timeout)),
        PolicyField::UdpDrainTimeout => Some(format_duration(config.udp_drain_timeout)),
        _ => None,
    }
}

/// An annotation that has no effect.
struct Mistake {
    code: Code,
    annotation: Name,
    /// The field; `None` if it is unknown.
    field: Option<PolicyField>,
    problem: String,
}

struct Reading<'a> {
    service: &'a Service,
    config: &'a NodeConfig,
    findings: &'a mut Vec<Finding>,
    policy: ServicePolicy,
    origins: Origins,
}

impl Reading<'_> {
    fn annotation(&mut self, annotation: &Annotation) -> Result<(), Mistake> {
        let Annotation { name, value } = annotation;
        let mistake = |code, field, problem| Mistake {
            code,
            annotation: name.clone(),
            field,
            problem,
        };
        let Some(field) = PolicyField::of_annotation(name) else {
            return Err(mistake(Code::InvalidPolicy, None, unknown(name)));
        };
        if !self.config.allowed_annotations.contains(&field) {
            let problem = "a Service may not set it on this node".to_owned();
            return Err(mistake(Code::PolicyNotAllowed, Some(field), problem));
        }
        if field == PolicyField::Scheduler && *value.trim() == *self.config.scheduler.0 {
            // Any scheduler that the administrator has chosen for all Services is fine.
            self.policy.scheduler = Some(SchedulerName(self.config.scheduler.0.clone()));
            self.origins.insert(field, PolicyOrigin::Annotation);
            return Ok(());
        }
        let read = match value.len() > Annotation::MAX_LENGTH {
            true => Err(format!("is longer than {} bytes", Annotation::MAX_LENGTH)),
            false => self.policy.set(field, &Given::from(&**value)),
        };
        read.map_err(|problem| {
            let code = match field {
                PolicyField::Scheduler => Code::InvalidScheduler,
                _ => Code::InvalidPolicy,
            };
            mistake(code, Some(field), problem)
        })?;
        self.origins.insert(field, PolicyOrigin::Annotation);
        Ok(())
    }

    /// Adds the fields of the first rule of the configuration that selects the Service.
    fn rule(&mut self) {
        let Service { name, labels, .. } = self.service;
        let rules = &self.config.service_policies;
        let Some(rule) = rules.iter().find(|rule| rule.selects(name, labels)) else {
            return;
        };
        for field in PolicyField::ALL {
            if self.policy.inherit(*field, &rule.policy) {
                let origin = PolicyOrigin::Rule(rule.name.clone());
                self.origins.insert(*field, origin);
            }
        }
    }

    fn report_mistake(&mut self, mistake: Mistake) {
        let Mistake {
            code,
            annotation,
            field,
            problem,
        } = mistake;
        let mut consequence = match field {
            None => "it has no effect".to_owned(),
            Some(field) => self.instead(field),
        };
        if code == Code::PolicyNotAllowed {
            consequence.push_str("; allowedAnnotations of the configuration can allow it");
        }
        self.report(code, &annotation, problem, consequence);
    }

    /// Returns the value that applies to `field`, as the consequence of a finding.
    fn instead(&self, field: PolicyField) -> String {
        let values = explain(Some(&self.policy), &self.origins, self.config);
        match values.into_iter().find(|value| value.field == field) {
            Some(value) => format!("{} of the {} is used", value.value, value.origin),
            None => "the Service is served as without it".to_owned(),
        }
    }

    /// Removes flags of another scheduler than the one that is used.
    fn check_scheduler(&mut self) {
        let scheduler = self.scheduler().to_owned();
        let Some(flags) = self.policy.scheduler_flags.as_deref() else {
            return;
        };
        let Err(flag) = model::policy::scheduler_flags(&scheduler, flags) else {
            return;
        };
        let problem = format!("{flag} is for another scheduler than {scheduler}");
        self.policy.clear(PolicyField::SchedulerFlags);
        let origin = self.origins.remove(&PolicyField::SchedulerFlags);
        if origin == Some(PolicyOrigin::Annotation) {
            let consequence = "the flags have no effect".to_owned();
            let field = PolicyField::SchedulerFlags;
            self.report(
                Code::PolicyWithoutEffect,
                field.annotation(),
                problem,
                consequence,
            );
        }
    }

    fn scheduler(&self) -> &str {
        let chosen = self.policy.scheduler.as_ref();
        chosen.map_or(&*self.config.scheduler.0, |chosen| &*chosen.0)
    }

    /// Reports annotations that have no effect beside the rest of the Service. The administrator's
    /// rules select many Services at once, and are not meant for each of them.
    fn check_effect(&mut self, ports: &[UsablePort]) {
        let scheduler = self.scheduler();
        let shares = self.policy.affinity_scope == Some(AffinityScope::Service);
        let has = |protocol| ports.iter().any(|port| port.protocol == protocol);
        let weighted = is_weighted(scheduler);
        let unweighted =
            format!("scheduler {scheduler} uses weights only to leave endpoints with weight 0 out");
        let unprobed = (self.policy.health_check.as_ref()).map(|check| {
            let protocol = check.probe.kind.protocol();
            format!("the Service has no {protocol} port, and the check no port=NUMBER")
        });
        let choose = "choose a scheduler with weights, such as wrr or wlc";
        let not_gradual = format!("scheduler {scheduler} gives no endpoint a growing share");
        let is_off = (self.policy.slow_start).is_none_or(|slow_start| slow_start.time().is_none());
        let checks = [
            (PolicyField::Weights, weighted, unweighted.as_str(), choose),
            (PolicyField::Locality, weighted, &unweighted, choose),
            (
                PolicyField::OnePacket,
                has(Protocol::Udp),
                "the Service has no UDP port",
                "it has no effect",
            ),
            (
                PolicyField::AffinityPrefix,
                self.service.affinity.is_some(),
                "spec.sessionAffinity is not ClientIP",
                "it has no effect",
            ),
            (
                PolicyField::AffinityScope,
                self.service.affinity.is_some() || !shares,
                "spec.sessionAffinity is not ClientIP",
                "it has no effect",
            ),
            (
                PolicyField::AffinityScope,
                self.service.affinity.is_none() || !shares || {
                    let mut protocols = BTreeSet::new();
                    !(ports.iter()).all(|port| protocols.insert(port.protocol))
                },
                "the Service has no two ports of one protocol",
                "it has no effect",
            ),
            (
                PolicyField::HealthCheck,
                (self.policy.health_check.as_ref()).is_none_or(|check| {
                    (ports.iter()).any(|port| checks::applies(check, port.protocol))
                }),
                unprobed.as_deref().unwrap_or_default(),
                "no endpoint is checked",
            ),
            (
                PolicyField::SlowStart,
                is_off || is_gradual(scheduler),
                &not_gradual,
                "endpoints start with their full weight; choose wrr, wlc, sed, nq or twos",
            ),
            (
                PolicyField::Forwarding,
                self.policy.forwarding.is_none_or(|method| {
                    method.unrewritten().is_none() || serves_elsewhere(self.service)
                }),
                "it is for external and load-balancer addresses with externalTrafficPolicy Cluster, and \
                 there are none",
                "all packets are masqueraded",
            ),
        ];
        let without: Vec<_> = (checks.into_iter())
            .filter(|(field, acts, ..)| {
                !acts && self.origins.get(field) == Some(&PolicyOrigin::Annotation)
            })
            .map(|(field, _, problem, consequence)| (field, problem.to_owned(), consequence))
            .collect();
        for (field, problem, consequence) in without {
            let code = Code::PolicyWithoutEffect;
            self.report(code, field.annotation(), problem, consequence.to_owned());
        }
    }

    fn report(&mut self, code: Code, annotation: &str, problem: String, consequence: String) {
        self.findings.push(Finding {
            code,
            kind: "Service",
            object: self.service.name.clone(),
            field: format!(
                "metadata.annotations[{PREFIX}{}]",
                SafeText::new(annotation)
            ),
            problem,
            consequence,
        });
    }
}

/// Returns true if packets to external or load-balancer addresses of the Service may go to endpoints
/// that are not on this node.
fn serves_elsewhere(service: &Service) -> bool {
    let outside = [&service.external_ips, &service.load_balancer_ips];
    outside.iter().any(|addresses| !addresses.is_empty())
        && policy::external(service) == TrafficPolicy::Cluster
}

/// Returns the problem of an annotation that is no field.
fn unknown(annotation: &str) -> String {
    let names = PolicyField::ALL.iter().map(|field| field.annotation());
    let likely = names
        .map(|name| (levenshtein(name, &annotation.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= MISSPELT)
        .min();
    match likely {
        Some((_, name)) => format!("it is no field of a policy, is {PREFIX}{name} meant?"),
        None => "it is no field of a policy".to_owned(),
    }
}
