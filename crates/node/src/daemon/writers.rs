//! Two programs that keep one table undo each other's work.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sources::proxy;

use super::Fatal;

/// Refuses to start beside kube-proxy or another kube-ipvsd of this node: what answers at the metrics
/// address is one.
pub(super) fn refuse_second(metrics: Option<SocketAddr>) -> Result<(), Fatal> {
    let address = metrics.map_or(proxy::METRICS, reachable);
    match proxy::running(address) {
        None => Ok(()),
        Some(running) => Err(format!(
            "{running} runs on this node and answers at {address}: two that write the same tables undo \
             each other's work. Stop it first, or start with --force"
        )
        .into()),
    }
}

/// Every address is also that of loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) if any.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
