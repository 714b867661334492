//! List requests.

use super::body::json_bytes;
use super::path::Target;
use super::query::Query;
use crate::http::Body;
use crate::object::{Key, Object};
use crate::server::Inner;
use crate::status::ApiError;
use crate::store::{Page, Range};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A continue token: the key after which to continue, and the revision of the list.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    revision: u64,
    namespace: String,
    name: String,
}

pub(super) fn serve(
    server: &Inner,
    target: &Target,
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let resource = target.resource;
    let page = read(server, target, query)?;
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = page.next {
        metadata["continue"] = json!(Token::new(page.revision, next).to_text());
    }
    let kind = format!("{}List", resource.kind());
    let head = json!({"kind": kind, "apiVersion": resource.api_version(), "metadata": metadata});
    let mut out = Vec::with_capacity(256 + page.items.len() * 1024);
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

fn read(server: &Inner, target: &Target, query: &Query) -> Result<Page, ApiError> {
    let selector = query.selector()?;
    let token = match query.get("continue") {
        "" => None,
        text => Some(Token::read(text)?),
    };
    let after = token.as_ref().map(|t| Key::new(&*t.namespace, &*t.name));
    let range = Range {
        namespace: target.namespace.as_deref(),
        at: token.map(|t| t.revision),
        after: after.as_ref(),
        limit: usize::try_from(query.number("limit")?).unwrap_or(usize::MAX),
    };
    let select = |object: &Object| selector.matches(object);
    let page = server.cluster.store().list(target.resource, &range, select);
    page.map_err(|_| ApiError::expired("The provided continue parameter is too old"))
}

impl Token {
    fn new(revision: u64, last: Key) -> Self {
        Self {
            revision,
            namespace: last.namespace,
            name: last.name,
        }
    }

    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!(self).to_string())
    }

    fn read(text: &str) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let bad = |_| ApiError::bad_request("continue key is not valid");
        serde_json::from_slice(&bytes).map_err(bad)
    }
}
