//! Values that the chart must refuse, and `helm lint`.

use super::Check;
use super::render::Renderer;
use crate::error::Result;

/// Values that the chart must refuse, and a part of the message.
const REFUSED: [(&str, &[&str], &str); 6] = [
    ("without_the_api_server", &[], "apiServer.host is not set"),
    (
        "url_as_host",
        &["apiServer.host=https://192.0.2.10"],
        "/apiServer/host",
    ),
    (
        "unknown_value",
        &["apiServer.host=192.0.2.10", "apiserver.port=6443"],
        "'apiserver' not allowed",
    ),
    (
        "word_as_switch",
        &["apiServer.host=192.0.2.10", "canary=yes"],
        "/canary",
    ),
    (
        "address_without_port",
        &[
            "apiServer.host=192.0.2.10",
            "monitoring.bindAddress=0.0.0.0",
        ],
        "/monitoring/bindAddress",
    ),
    (
        "argument_without_dashes",
        &["apiServer.host=192.0.2.10", "extraArgs={v=4}"],
        "/extraArgs/0",
    ),
];

pub(super) fn checks(renderer: &Renderer) -> Vec<Check> {
    let mut all: Vec<Check> = (REFUSED.iter())
        .map(|(name, values, part)| {
            let result = renderer.helm("template", "kube-system", values);
            Check::new(format!("chart::refuses::{name}"), Ok(refusal(result, part)))
        })
        .collect();
    for values in [&["apiServer.host=192.0.2.10"][..], &["kubeadm.yaml"]] {
        let result = renderer.helm("lint", "kube-system", values);
        let name = format!("chart::lint::{}", values.join(","));
        all.push(Check::new(name, result.map(|_| Vec::new())));
    }
    all
}

fn refusal(result: Result<String>, part: &str) -> Vec<String> {
    match result {
        Ok(_) => vec!["the chart accepts it".to_owned()],
        Err(error) if error.to_string().contains(part) => Vec::new(),
        Err(error) => vec![format!("no {part:?} in: {error}")],
    }
}
