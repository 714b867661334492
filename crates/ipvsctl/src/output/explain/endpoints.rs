//! Endpoints in explanations.

use super::SHOWN;
use super::places::more;
use crate::output::at_port;
use crate::output::servers::table;
use crate::schema::{ExplainedEndpoint, ExplainedSlowStart, PodEndpoint, ServiceExplanation};

const TITLES: [&str; 9] = [
    "PORT", "ENDPOINT", "NODE", "SLICE", "USED", "WEIGHT", "ACTIVE", "INACTIVE", "REASON",
];

/// Returns a row for each endpoint of a Service.
pub(super) fn text(object: &ServiceExplanation) -> String {
    let rows = (object.endpoints.iter().take(SHOWN)).map(row).collect();
    let mut text = table(&TITLES, rows, "No endpoints.\n");
    more(&mut text, object.endpoints.len());
    text
}

/// Returns a row for each endpoint, with its Service.
pub(super) fn with_services(endpoints: &[PodEndpoint]) -> String {
    let mut titles = vec!["SERVICE"];
    titles.extend(TITLES);
    let rows = (endpoints.iter().take(SHOWN)).map(|found| {
        let mut cells = vec![format!("{}/{}", found.namespace, found.name)];
        cells.extend(row(&found.endpoint));
        cells
    });
    let mut text = table(&titles, rows.collect(), "");
    more(&mut text, endpoints.len());
    text
}

fn row(endpoint: &ExplainedEndpoint) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let used = if endpoint.chosen { "yes" } else { "no" };
    vec![
        port(endpoint),
        address(endpoint),
        node(endpoint),
        endpoint.slice.clone().unwrap_or_else(|| "-".to_owned()),
        used.to_owned(),
        weights(endpoint),
        number(endpoint.active_connections),
        number(endpoint.inactive_connections),
        reason(endpoint),
    ]
}

fn port(endpoint: &ExplainedEndpoint) -> String {
    match &endpoint.protocol {
        Some(protocol) if endpoint.port_name.is_empty() => protocol.clone(),
        Some(protocol) => format!("{}/{protocol}", endpoint.port_name),
        None => "-".to_owned(),
    }
}

fn address(endpoint: &ExplainedEndpoint) -> String {
    let address = &endpoint.address;
    match endpoint.port {
        None => address.clone(),
        Some(port) => at_port(address, port),
    }
}

fn node(endpoint: &ExplainedEndpoint) -> String {
    match (&endpoint.node, endpoint.local) {
        (Some(node), true) => format!("{node} (here)"),
        (Some(node), false) => node.clone(),
        (None, _) => "-".to_owned(),
    }
}

/// Returns the weight, or all of them if the virtual servers of the endpoint have different ones.
fn weights(endpoint: &ExplainedEndpoint) -> String {
    let Some(weights) = &endpoint.weights else {
        return "-".to_owned();
    };
    let mut distinct = weights.clone();
    distinct.sort_unstable();
    distinct.dedup();
    match distinct.is_empty() {
        true => "-".to_owned(),
        false => {
            let texts: Vec<String> = distinct.iter().map(ToString::to_string).collect();
            texts.join(",")
        }
    }
}

fn reason(endpoint: &ExplainedEndpoint) -> String {
    let mut text = endpoint.text.clone();
    match endpoint.missing {
        None | Some(0) => {}
        Some(1) => text.push_str("; missing in 1 virtual server"),
        Some(missing) => text.push_str(&format!("; missing in {missing} virtual servers")),
    }
    if let Some(ExplainedSlowStart {
        weight,
        full_weight,
        ends,
    }) = &endpoint.slow_start
    {
        text.push_str(&format!(
            "; slow start: weight {weight} of {full_weight} until {ends}"
        ));
    }
    if let Some(drain) = &endpoint.drain {
        text.push_str("; draining");
        if let Some(since) = &drain.since {
            text.push_str(&format!(" since {since}"));
        }
        if let Some(deadline) = &drain.deadline {
            text.push_str(&format!(" until {deadline}"));
        }
    }
    text
}
