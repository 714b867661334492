//! Label and field selectors, as the query parameters `labelSelector` and `fieldSelector` spell them.

use crate::object::Object;
use crate::resource::Resource;
use crate::status::ApiError;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Selection of the objects that a list or watch is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTerm {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Selector {
    /// Reads both parameters; an empty one selects everything.
    ///
    /// # Errors
    /// 400 where a selector cannot be parsed or names a field that `resource` does not support.
    pub(crate) fn parse(resource: Resource, labels: &str, fields: &str) -> Result<Self, ApiError> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(resource, fields)?,
        })
    }

    /// Returns true if it selects everything.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns true if an object is selected.
    #[must_use]
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.labels.iter().all(|t| t.matches(&object.labels))
            && self.fields.iter().all(|t| t.matches(object))
    }
}

impl LabelTerm {
    /// Kubernetes' rule: a missing key satisfies `!=` and `notin`.
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
            Self::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
        }
    }
}

impl FieldTerm {
    fn matches(&self, object: &Object) -> bool {
        let mut at = &object.value;
        for step in &self.path {
            at = &at[step.as_str()];
        }
        (at.as_str().unwrap_or_default() == self.value) == self.equal
    }
}

fn parse_labels(text: &str) -> Result<Vec<LabelTerm>, ApiError> {
    let bad = |why: &str| {
        ApiError::bad_request(format!(
            "unable to parse requirement: {why} in label selector {text:?}"
        ))
    };
    let mut terms = Vec::new();
    for part in split_outside_parentheses(text) {
        let part = part.trim();
        if part.is_empty() {
            if text.trim().is_empty() {
                continue;
            }
            return Err(bad("found ',', expected a key"));
        }
        let term = if let Some(key) = part.strip_prefix('!') {
            LabelTerm::Absent(key.trim().to_owned())
        } else if let Some(open) = part.find('(') {
            let inside = part[open + 1..]
                .strip_suffix(')')
                .ok_or_else(|| bad("no closing parenthesis"))?;
            let values = inside.split(',').map(|v| v.trim().to_owned()).collect();
            match part[..open]
                .split_whitespace()
                .collect::<Vec<_>>()
                .as_slice()
            {
                [key, "in"] => LabelTerm::In((*key).to_owned(), values),
                [key, "notin"] => LabelTerm::NotIn((*key).to_owned(), values),
                _ => return Err(bad("expected 'in' or 'notin'")),
            }
        } else if let Some((key, value)) = part.split_once("!=") {
            LabelTerm::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            LabelTerm::In(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else {
            LabelTerm::Exists(part.to_owned())
        };
        let (LabelTerm::Exists(key)
        | LabelTerm::Absent(key)
        | LabelTerm::In(key, _)
        | LabelTerm::NotIn(key, _)) = &term;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if key.is_empty() || !key.chars().all(fits) {
            return Err(bad("invalid label key"));
        }
        terms.push(term);
    }
    Ok(terms)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_fields(resource: Resource, text: &str) -> Result<Vec<FieldTerm>, ApiError> {
    let mut terms = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (path, value, equal) = if let Some((p, v)) = part.split_once("!=") {
            (p, v, false)
        } else if let Some((p, v)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (p, v, true)
        } else {
            return Err(ApiError::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            )));
        };
        if !supported_fields(resource).contains(&path) {
            return Err(ApiError::bad_request(format!(
                "field label not supported: {path}"
            )));
        }
        terms.push(FieldTerm {
            path: path.split('.').map(str::to_owned).collect(),
            value: value.to_owned(),
            equal,
        });
    }
    Ok(terms)
}

/// k8s.io/kubernetes pkg/apis/core/v1/conversion.go and the `GetAttrs` of each registry, 1.32.
fn supported_fields(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Namespaces => &["metadata.name", "status.phase"],
        Resource::Nodes => &["metadata.name", "spec.unschedulable"],
        Resource::Services => &[
            "metadata.name",
            "metadata.namespace",
            "spec.clusterIP",
            "spec.type",
        ],
        Resource::Endpoints | Resource::EndpointSlices => &["metadata.name", "metadata.namespace"],
        Resource::Events => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
            "reportingComponent",
        ],
    }
}
