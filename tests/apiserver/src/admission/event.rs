//! Events: as much of `ValidateEvent` as both API groups share.

use super::fields::{map, text};
use super::verdict;
use crate::status::FieldError;
use serde_json::Value;

pub(super) fn admit(new: &mut Value) -> Result<(), Vec<FieldError>> {
    map(&mut new["involvedObject"]);
    let mut errors = Vec::new();
    let namespace = text(&new["metadata"], "namespace");
    let about = text(&new["involvedObject"], "namespace");
    let right = if about.is_empty() {
        namespace == "default" || namespace == "kube-system"
    } else {
        about == namespace
    };
    if !right {
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            about,
            "does not match event.namespace",
        ));
    }
    if text(new, "eventTime").is_empty() {
        return verdict(errors);
    }
    for (field, most) in [
        ("reportingComponent", 253),
        ("reportingInstance", 128),
        ("action", 128),
        ("reason", 128),
    ] {
        let value = text(new, field);
        let path = if field == "reportingComponent" {
            "reportingController"
        } else {
            field
        };
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if value.len() > most {
            errors.push(FieldError::invalid(
                path,
                "",
                format!("can have at most {most} characters"),
            ));
        }
    }
    if text(new, "message").len() > 1024 {
        errors.push(FieldError::invalid(
            "message",
            "",
            "can have at most 1024 characters",
        ));
    }
    if !matches!(text(new, "type"), "Normal" | "Warning") {
        errors.push(FieldError::invalid(
            "type",
            text(new, "type"),
            "has invalid value: ",
        ));
    }
    verdict(errors)
}
