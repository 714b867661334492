//! `/changes`: the last changes in the kernel, as JSON.

use hyper::StatusCode;
use model::names::ObjectName;
use model::plan::OpEffect;
use serde::Serialize;

use super::service_port::ServicePort;
use super::{Document, Reply};
use crate::change_log::{Change, ChangeLog, KEPT};

/// Number of changes in an answer to a request without `limit`.
const LIMIT: usize = 500;

/// Content of an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changes<'a> {
    /// Name of the Node object.
    node_name: &'a str,
    /// Start of the daemon. The numbers of changes start at 1 with each start.
    started: &'a str,
    /// Maximum number of changes in this answer.
    limit: usize,
    /// Value of `since` for the next request.
    next: u64,
    /// Number of changes after `since` that are no longer kept.
    missed: u64,
    /// Changes, oldest first.
    changes: Vec<ChangeItem>,
}

/// One change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeItem {
    number: u64,
    /// RFC 3339.
    time: String,
    /// `add`, `change` or `delete`.
    effect: &'static str,
    line: String,
    reason: String,
    /// `None` if no Service needs the entry, or all do.
    service: Option<ServicePort>,
    /// `None` until the sync ends.
    cause: Option<&'static str>,
    /// Time from the arrival of the Service's oldest unapplied change to the kernel's answer.
    latency_seconds: Option<f64>,
}

/// Selection of changes by a request.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    since: Option<u64>,
    limit: usize,
    service: Option<ObjectName>,
}

/// Answers a request with this query, for the node `node_name` and a daemon `started` then.
pub(super) fn reply(log: &ChangeLog, node_name: &str, started: &str, query: &str) -> Reply {
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(problem) => return Reply::text(StatusCode::BAD_REQUEST, problem + "\n"),
    };
    let selected = log.select(query.since, query.limit, |change| {
        let service = change.service.as_ref().map(|port| &port.service);
        query.service.is_none() || query.service.as_ref() == service
    });
    Reply::document(&Document::new(
        "Changes",
        &Changes {
            node_name,
            started,
            limit: query.limit,
            next: selected.next,
            missed: selected.missed,
            changes: selected.changes.iter().map(ChangeItem::of).collect(),
        },
    ))
}

impl ChangeItem {
    fn of(change: &Change) -> Self {
        Self {
            number: change.number,
            time: change.time.to_string(),
            effect: match change.effect {
                OpEffect::Add => "add",
                OpEffect::Change => "change",
                OpEffect::Delete => "delete",
            },
            line: change.line.clone(),
            reason: change.reason.clone(),
            service: change.service.as_deref().map(ServicePort::from),
            cause: change.cause,
            latency_seconds: change.latency.map(|latency| latency.as_secs_f64()),
        }
    }
}

impl Query {
    /// Parses `since=N&limit=N&service=NAMESPACE/NAME`. All fields are optional. The slash may be
    /// written as `%2F`; names of Services need no other escape.
    ///
    /// # Errors
    ///
    /// The field that is unknown or has no valid value, as text for the client.
    fn parse(query: &str) -> Result<Self, String> {
        let mut parsed = Self {
            since: None,
            limit: LIMIT,
            service: None,
        };
        for field in query.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            match name {
                "since" => {
                    let number = value.parse().ok();
                    parsed.since = Some(number.ok_or("since: a number of a change is expected")?);
                }
                "limit" => {
                    let limit: Option<usize> = value.parse().ok().filter(|limit| *limit <= KEPT);
                    parsed.limit =
                        limit.ok_or_else(|| format!("limit: a number up to {KEPT} is expected"))?;
                }
                "service" => {
                    let value = value.replace("%2F", "/").replace("%2f", "/");
                    let parts = value.split_once('/');
                    let (namespace, name) = parts.ok_or("service: NAMESPACE/NAME is expected")?;
                    parsed.service = Some(ObjectName::new(namespace, name));
                }
                _ => return Err("unknown field; known are since, limit and service".to_owned()),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_selects_changes() {
        let shop_web = Some(ObjectName::new("shop", "web"));
        let with = |since, limit, service| {
            Ok(Query {
                since,
                limit,
                service,
            })
        };
        for (text, expected) in [
            ("", with(None, LIMIT, None)),
            ("since=7&limit=0", with(Some(7), 0, None)),
            ("service=shop/web", with(None, LIMIT, shop_web.clone())),
            ("service=shop%2Fweb&limit=4096", with(None, 4096, shop_web)),
            (
                "since=-1",
                Err("since: a number of a change is expected".to_owned()),
            ),
            (
                "limit=4097",
                Err("limit: a number up to 4096 is expected".to_owned()),
            ),
            (
                "service=web",
                Err("service: NAMESPACE/NAME is expected".to_owned()),
            ),
            (
                "from=1",
                Err("unknown field; known are since, limit and service".to_owned()),
            ),
        ] {
            assert_eq!(Query::parse(text), expected, "{text}");
        }
    }
}
