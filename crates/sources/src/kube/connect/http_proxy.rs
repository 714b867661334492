//! The HTTP proxy on the way to the API server.
//!
//! Source: `FromEnvironment`, `parseProxy`, `init`, `useProxy` and `canonicalAddr` of golang.org/x/net/http/httpproxy/proxy.go, which
//! client-go asks; `proxy-url` of a kubeconfig comes first, and no `NO_PROXY` speaks against it
//! (`k8s.io/client-go/tools/clientcmd/client_config.go`, Kubernetes 1.34).

mod no_proxy;
#[cfg(test)]
mod tests;

use http::Uri;

use super::super::ServerHost;
use no_proxy::NoProxy;

/// Returns the proxy for requests to `server` that the environment asks for, as text; `None` without one.
/// `variable` looks a variable of the environment up.
///
/// `HTTPS_PROXY` counts for an `https` URL and `HTTP_PROXY` for an `http` one, unless `NO_PROXY` has the server. Names in small letters
/// count where those in capitals are not set. This machine itself is never asked by a proxy.
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

/// Completes a proxy without a scheme, which is an HTTP proxy. The client library knows `socks5` alone, and has names resolved by the
/// proxy, which is what `socks5h` asks for.
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
