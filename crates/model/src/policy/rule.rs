//! Policies that the administrator gives to Services, `servicePolicies` of the configuration.

use std::collections::BTreeSet;

use super::ServicePolicy;
use super::pattern::Pattern;
use crate::names::{Name, ObjectName};

/// A policy for the Services that it selects. All of its conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// Name of the rule in messages.
    pub name: Name,
    /// Patterns of namespaces, of which one must match; an empty list selects every namespace.
    pub namespaces: Vec<Pattern>,
    /// Labels that a Service must have.
    pub labels: LabelSelector,
    /// The policy.
    pub policy: ServicePolicy,
}

impl PolicyRule {
    /// Returns true if the rule selects the Service `name` with these labels.
    #[must_use]
    pub fn selects(&self, name: &ObjectName, labels: &[(Name, Name)]) -> bool {
        let in_namespace = self.namespaces.is_empty()
            || (self.namespaces.iter()).any(|pattern| pattern.matches(&name.namespace));
        in_namespace && self.labels.selects(labels)
    }
}

/// Selector of labels, as `metav1.LabelSelector`: every requirement must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(pub Vec<(Name, Requirement)>);

/// Condition on the value of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The value is one of these: `In`, and `matchLabels`.
    In(BTreeSet<Name>),
    /// There is no such label, or its value is none of these: `NotIn`.
    NotIn(BTreeSet<Name>),
    /// There is such a label: `Exists`.
    Exists,
    /// There is no such label: `DoesNotExist`.
    DoesNotExist,
}

impl LabelSelector {
    /// Returns the names of the labels that the selector reads.
    pub fn keys(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().map(|(key, _)| key)
    }

    fn selects(&self, labels: &[(Name, Name)]) -> bool {
        self.0.iter().all(|(key, requirement)| {
            let value = (labels.iter())
                .find(|(name, _)| name == key)
                .map(|(_, value)| value);
            match requirement {
                Requirement::In(values) => value.is_some_and(|value| values.contains(value)),
                Requirement::NotIn(values) => !value.is_some_and(|value| values.contains(value)),
                Requirement::Exists => value.is_some(),
                Requirement::DoesNotExist => value.is_none(),
            }
        })
    }
}
