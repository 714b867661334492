//! Errors as a Kubernetes API server tells them: a `Status` object and an HTTP code.
//!
//! Codes, reasons and messages follow k8s.io/apimachinery `pkg/api/errors` and
//! `pkg/util/validation/field` of Kubernetes 1.32.

use serde_json::{Value, json};
use std::fmt;

/// A refusal, as the API server answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The HTTP status code, repeated in the `Status` object.
    pub code: u16,
    /// The machine-readable reason (`NotFound`, `Conflict`, `Expired`, …); may be empty.
    pub reason: &'static str,
    /// Text that `kubectl` prints after "Error from server".
    pub message: String,
    /// `Status.details`, if any.
    pub details: Option<Value>,
    /// Seconds for the `Retry-After` header, if any.
    pub retry_after: Option<u64>,
    /// A continue token that a client may use in place of an expired one.
    pub continue_token: Option<String>,
}

impl ApiError {
    /// An error without details.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            retry_after: None,
            continue_token: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn not_found(group: &str, plural: &str, name: &str) -> Self {
        Self {
            details: Some(details(group, plural, name)),
            ..Self::new(
                404,
                "NotFound",
                format!("{} {name:?} not found", qualified(group, plural)),
            )
        }
    }

    pub(crate) fn no_such_path() -> Self {
        Self {
            details: Some(json!({})),
            ..Self::new(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
        }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self {
            details: Some(json!({})),
            ..Self::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    pub(crate) fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        Self {
            details: Some(details(group, plural, name)),
            ..Self::new(
                409,
                "AlreadyExists",
                format!("{} {name:?} already exists", qualified(group, plural)),
            )
        }
    }

    pub(crate) fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        Self {
            details: Some(details(group, plural, name)),
            ..Self::new(
                409,
                "Conflict",
                format!(
                    "Operation cannot be fulfilled on {} {name:?}: {why}",
                    qualified(group, plural)
                ),
            )
        }
    }

    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let text = if let [one] = texts.as_slice() {
            one.clone()
        } else {
            format!("[{}]", texts.join(", "))
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.reason(), "message": e.body(), "field": e.path}))
            .collect();
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        Self {
            details: Some(json!({"name": name, "group": group, "kind": kind, "causes": causes})),
            ..Self::new(
                422,
                "Invalid",
                format!("{qualified} {name:?} is invalid: {text}"),
            )
        }
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The refusal of a request by name or, with an empty name, of a collection.
    pub(crate) fn forbidden(
        user: &str,
        verb: &str,
        group: &str,
        resource: &str,
        name: &str,
        ns: Option<&str>,
    ) -> Self {
        let object = qualified(group, resource);
        let object = if name.is_empty() {
            object
        } else {
            format!("{object} {name:?}")
        };
        let place = ns.map_or_else(
            || "at the cluster scope".to_owned(),
            |n| format!("in the namespace {n:?}"),
        );
        Self {
            details: Some(details(group, resource, name)),
            ..Self::new(
                403,
                "Forbidden",
                format!(
                    "{object} is forbidden: User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}"
                ),
            )
        }
    }

    /// A list at a revision the server has not reached (code 504, retry after one second).
    pub(crate) fn too_large_revision(asked: u64, current: u64) -> Self {
        Self {
            details: Some(json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1
            })),
            retry_after: Some(1),
            ..Self::new(
                504,
                "Timeout",
                format!("Timeout: Too large resource version: {asked}, current: {current}"),
            )
        }
    }

    pub(crate) fn too_many_requests(retry_after: u64) -> Self {
        Self {
            details: Some(json!({"retryAfterSeconds": retry_after})),
            retry_after: Some(retry_after),
            ..Self::new(
                429,
                "TooManyRequests",
                "Too many requests, please try again later.",
            )
        }
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut metadata = json!({});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = json!(token);
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

fn details(group: &str, plural: &str, name: &str) -> Value {
    let mut out = json!({"kind": plural});
    if !name.is_empty() {
        out["name"] = json!(name);
    }
    if !group.is_empty() {
        out["group"] = json!(group);
    }
    out
}

/// An error of one field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    pub(crate) path: String,
    pub(crate) fault: Fault,
}

/// The ways in which a field can be wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    Required(String),
    Invalid(Value, String),
    Duplicate(Value),
    NotSupported(Value, Vec<&'static str>),
    Forbidden(String),
    TooMany(usize, usize),
}

impl FieldError {
    pub(crate) fn required(path: impl Into<String>, detail: &str) -> Self {
        Self {
            path: path.into(),
            fault: Fault::Required(detail.to_owned()),
        }
    }

    pub(crate) fn invalid(
        path: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            fault: Fault::Invalid(value.into(), detail.into()),
        }
    }

    pub(crate) fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            path: path.into(),
            fault: Fault::Duplicate(value.into()),
        }
    }

    pub(crate) fn not_supported(
        path: impl Into<String>,
        value: impl Into<Value>,
        supported: &[&'static str],
    ) -> Self {
        Self {
            path: path.into(),
            fault: Fault::NotSupported(value.into(), supported.to_vec()),
        }
    }

    pub(crate) fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            fault: Fault::Forbidden(detail.into()),
        }
    }

    fn reason(&self) -> &'static str {
        match self.fault {
            Fault::Required(_) => "FieldValueRequired",
            Fault::Invalid(..) => "FieldValueInvalid",
            Fault::Duplicate(_) => "FieldValueDuplicate",
            Fault::NotSupported(..) => "FieldValueNotSupported",
            Fault::Forbidden(_) => "FieldValueForbidden",
            Fault::TooMany(..) => "FieldValueTooMany",
        }
    }

    fn body(&self) -> String {
        let with = |head: &str, detail: &str| {
            if detail.is_empty() {
                head.to_owned()
            } else {
                format!("{head}: {detail}")
            }
        };
        match &self.fault {
            Fault::Required(detail) => with("Required value", detail),
            Fault::Invalid(value, detail) => with(&format!("Invalid value: {value}"), detail),
            Fault::Duplicate(value) => format!("Duplicate value: {value}"),
            Fault::NotSupported(value, supported) => {
                let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
                format!(
                    "Unsupported value: {value}: supported values: {}",
                    list.join(", ")
                )
            }
            Fault::Forbidden(detail) => with("Forbidden", detail),
            Fault::TooMany(found, most) => {
                format!("Too many: {found}: must have at most {most} items")
            }
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}
