//! The API server's treatment of an object before it is stored: decoding, defaults, allocation, validation, fields that only the
//! server or a subresource may change.
//!
//! Follows k8s.io/kubernetes 1.32: `pkg/apis/*/v1/defaults.go`, `pkg/apis/*/validation`,
//! `pkg/registry/*/strategy.go`, `pkg/registry/core/service/storage`.

mod endpoints;
mod event;
mod fields;
mod metadata;
mod namespace;
mod node;
mod service;
mod slice;
#[cfg(test)]
mod tests;
mod typed;
mod words;

pub(crate) mod allocations;

pub(crate) use metadata::{admit_metadata, random_suffix};
pub(crate) use typed::check_types;

use crate::resource::Resource;
use crate::status::FieldError;
use allocations::Allocations;
use serde_json::{Value, json};

/// The part of an object that a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status (for kinds that have the subresource).
    Main,
    /// The status alone.
    Status,
}

/// Prepares and checks a new object.
pub(crate) fn admit_new(
    resource: Resource,
    new: &mut Value,
    allocations: &Allocations,
) -> Result<(), Vec<FieldError>> {
    match resource {
        Resource::Services => service::admit(new, None, allocations),
        Resource::Nodes => node::admit(new, None),
        Resource::Namespaces => namespace::admit(new),
        Resource::Endpoints => endpoints::admit(new),
        Resource::EndpointSlices => slice::admit(new, None),
        Resource::Events => event::admit(new),
    }
}

/// Prepares and checks a new version of an object.
pub(crate) fn admit_change(
    resource: Resource,
    part: Part,
    new: &mut Value,
    old: &Value,
    allocations: &Allocations,
) -> Result<(), Vec<FieldError>> {
    if part == Part::Status {
        return admit_status(resource, new, old);
    }
    match resource {
        Resource::Services => {
            copy_field(old, new, "status");
            service::admit(new, Some(old), allocations)
        }
        Resource::Nodes => {
            copy_field(old, new, "status");
            node::admit(new, Some(old))
        }
        Resource::Namespaces => {
            copy_field(old, new, "status");
            namespace::admit(new)
        }
        Resource::Endpoints => endpoints::admit(new),
        Resource::EndpointSlices => slice::admit(new, Some(old)),
        Resource::Events => event::admit(new),
    }
}

/// A status update changes the status alone; the rest is taken from the stored version.
fn admit_status(resource: Resource, new: &mut Value, old: &Value) -> Result<(), Vec<FieldError>> {
    let status = new["status"].take();
    let metadata = new["metadata"].take();
    *new = old.clone();
    new["metadata"] = metadata;
    new["status"] = if status.is_null() { json!({}) } else { status };
    match resource {
        Resource::Services => service::admit_status(new),
        Resource::Nodes => node::admit(new, Some(old)),
        _ => Ok(()),
    }
}

fn copy_field(from: &Value, to: &mut Value, field: &str) {
    let Some(map) = to.as_object_mut() else {
        return;
    };
    match from.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.remove(field),
    };
}

/// Ends a check: no errors is success.
fn verdict(errors: Vec<FieldError>) -> Result<(), Vec<FieldError>> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}
