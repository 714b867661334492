//! The HTTP proxy between this node and the API server.
//!
//! Source: `FromEnvironment`, `parseProxy`, `init`, `useProxy` and `canonicalAddr` of
//! golang.org/x/net/http/httpproxy/proxy.go, which client-go uses. `proxy-url` of a kubeconfig
//! takes precedence, and `NO_PROXY` does not apply to it
//! (`k8s.io/client-go/tools/clientcmd/client_config.go`, Kubernetes 1.34).

mod no_proxy;
#[cfg(test)]
mod tests;

use http::Uri;

use super::super::ServerHost;
use no_proxy::NoProxy;

/// Returns the URL of the proxy for requests to `server` that the environment configures, or `None`
/// without one. `variable` returns a variable of the environment.
///
/// - `HTTPS_PROXY` applies to an `https` URL and `HTTP_PROXY` to an `http` URL, unless `NO_PROXY`
///   contains the server.
/// - The lowercase names apply if the uppercase ones are not set.
/// - Loopback addresses and `localhost` never use a proxy.
pub(super) fn of_environment(
    server: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let either = |name: &str| {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        set(name).or_else(|| set(&name.to_ascii_lowercase()))
    };
    let proxy = match server.scheme_str() {
        Some("http") => either("HTTP_PROXY"),
        _ => either("HTTPS_PROXY"),
    }?;
    let ServerHost { host, port } = ServerHost::of(server)?;
    let direct = is_this_machine(&host)
        || NoProxy::parse(&either("NO_PROXY").unwrap_or_default()).has(&host, port);
    (!direct).then(|| with_scheme(proxy))
}

/// Adds the scheme `http` to a proxy without one. Replaces `socks5h` by `socks5`: the client
/// library supports only `socks5` and lets the proxy resolve names, which is the meaning of
/// `socks5h`.
fn with_scheme(proxy: String) -> String {
    match proxy.split_once("://") {
        Some(("socks5h", address)) => format!("socks5://{address}"),
        Some(("http" | "https" | "socks5", _)) => proxy,
        _ => format!("http://{proxy}"),
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || (no_proxy::address(host)).is_some_and(|address| address.is_loopback())
}
