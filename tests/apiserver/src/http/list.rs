//! Lists.

use super::body::{answer, json_bytes};
use super::path::Target;
use super::query::Query;
use crate::http::Body;
use crate::object::Key;
use crate::selectors::Selector;
use crate::server::Inner;
use crate::status::{ApiError, FieldError};
use crate::store::{Page, Range};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A continue token, spelled as k8s.io/apiserver's `pkg/storage/continue.go` does.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    v: String,
    /// The revision of the whole list; -1 in a token that goes on with whatever is there.
    rv: i64,
    start: String,
}

const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a \
    new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
    the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
    modified, or deleted between the time the first chunk was returned and now may show up in the list.";

pub(super) fn serve(
    server: &Inner,
    target: &Target,
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let api = target.api;
    let selector = query.selector(api.resource)?;
    check_options(query)?;
    let page = read(server, target, query, &selector)?;
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = &page.next {
        metadata["continue"] = json!(write_token(
            i64::try_from(page.revision).unwrap_or(i64::MAX),
            next
        ));
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(page.remaining);
        }
    }
    let kind = format!("{}List", api.kind);
    if api.respelled() {
        let items: Vec<Value> = page.items.iter().map(|o| api.encode(&o.value)).collect();
        return Ok(answer(
            200,
            &json!({"kind": kind, "apiVersion": api.api_version(), "metadata": metadata, "items": items}),
        ));
    }
    let mut out = Vec::with_capacity(256 + page.items.len() * 1024);
    let head = json!({"kind": kind, "apiVersion": api.api_version(), "metadata": metadata});
    out.extend_from_slice(head.to_string().trim_end_matches('}').as_bytes());
    out.extend_from_slice(b"},\"items\":[");
    for (at, object) in page.items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        object.write_item(&mut out);
    }
    out.extend_from_slice(b"]}");
    Ok(json_bytes(200, out))
}

/// `ValidateListOptions` for a list.
fn check_options(query: &Query) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    let (wanted, version) = (
        query.get("resourceVersionMatch"),
        query.get("resourceVersion"),
    );
    if !wanted.is_empty() {
        let path = "resourceVersionMatch";
        if version.is_empty() {
            errors.push(FieldError::forbidden(
                path,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !query.get("continue").is_empty() {
            errors.push(FieldError::forbidden(
                path,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !matches!(wanted, "Exact" | "NotOlderThan") {
            errors.push(FieldError::not_supported(
                path,
                wanted,
                &["Exact", "NotOlderThan", ""],
            ));
        }
        if wanted == "Exact" && version == "0" {
            errors.push(FieldError::forbidden(
                path,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if query.has("sendInitialEvents") {
        errors.push(FieldError::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors))
    }
}

fn read(
    server: &Inner,
    target: &Target,
    query: &Query,
    selector: &Selector,
) -> Result<Page, ApiError> {
    let (token, version) = (query.get("continue"), query.number("resourceVersion")?);
    let mut limit = usize::try_from(query.number("limit")?).unwrap_or(usize::MAX);
    let namespace = target.namespace.as_deref();
    let resource = target.api.resource;
    let select = |object: &crate::object::Object| selector.matches(object);
    if !token.is_empty() {
        if version != 0 {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (at, after) = read_token(token)?;
        let range = Range {
            namespace,
            at,
            after: Some(&after),
            limit,
        };
        return server
            .cluster
            .list(resource, &range, select)
            .map_err(|_| ApiError {
                continue_token: Some(write_token(-1, &after)),
                ..ApiError::expired(TOO_OLD)
            });
    }
    let current = server.cluster.revision();
    if version > current {
        return Err(ApiError::too_large_revision(version, current));
    }
    // A limit without a match asks for exactly this revision, as before resourceVersionMatch came.
    let exact = version != 0
        && (query.get("resourceVersionMatch") == "Exact"
            || (query.get("resourceVersionMatch").is_empty() && limit > 0));
    if query.get("resourceVersion") == "0" {
        // Served from the watch cache, which does not page.
        limit = 0;
    }
    let range = Range {
        namespace,
        at: exact.then_some(version),
        after: None,
        limit,
    };
    server
        .cluster
        .list(resource, &range, select)
        .map_err(|compacted| {
            ApiError::expired(format!(
                "The resourceVersion for the provided list is too old: {version} ({})",
                compacted.oldest
            ))
        })
}

fn write_token(revision: i64, last: &Key) -> String {
    let token = Token {
        v: "meta.k8s.io/v1".into(),
        rv: revision,
        start: format!("{}/{}\u{0}", last.namespace, last.name),
    };
    URL_SAFE_NO_PAD.encode(json!(token).to_string())
}

fn read_token(text: &str) -> Result<(Option<u64>, Key), ApiError> {
    let bad = |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|e| bad(&e.to_string()))?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
    if token.v != "meta.k8s.io/v1" {
        return Err(bad("server does not recognize this encoded version"));
    }
    let (namespace, name) = token
        .start
        .trim_end_matches('\u{0}')
        .split_once('/')
        .ok_or_else(|| bad("no start key"))?;
    Ok((u64::try_from(token.rv).ok(), Key::new(namespace, name)))
}
