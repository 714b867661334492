//! The HTTP proxy on the way to the API server.
//!
//! Source: `golang.org/x/net/http/httpproxy`, which client-go asks; `proxy-url` of a kubeconfig comes first
//! (`k8s.io/client-go/tools/clientcmd/client_config.go`, Kubernetes 1.34).

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// Returns the proxy for requests to `server` that the environment asks for, as text; `None` without one.
/// `variable` looks a variable of the environment up.
///
/// `HTTPS_PROXY` counts for an `https` URL and `HTTP_PROXY` for an `http` one, unless `NO_PROXY` has the host: `*`, addresses,
/// networks (`10.0.0.0/8`), and domains with all below them. Names in small letters count where those in capitals are not set. This
/// machine itself is never asked by a proxy.
pub(super) fn of_environment(
    server: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let either = |name: &str| {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        set(name).or_else(|| set(&name.to_ascii_lowercase()))
    };
    if is_this_machine(server.host()?) {
        return None;
    }
    let proxy = match server.scheme_str() {
        Some("http") => either("HTTP_PROXY"),
        _ => either("HTTPS_PROXY"),
    }?;
    let matcher = Matcher::builder()
        .all(proxy.clone())
        .no(either("NO_PROXY").unwrap_or_default())
        .build();
    matcher.intercept(server)?;
    // Without a scheme it is an HTTP proxy.
    match proxy.contains("://") {
        true => Some(proxy),
        false => Some(format!("http://{proxy}")),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || (address.parse()).is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}
