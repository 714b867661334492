//! Idle timeouts that TCP keepalive needs (`ipvs.tcpTimeout: matchKeepalive`, deviation D19).

#[cfg(test)]
mod tests;

use std::time::Duration;

use ipvs::Timeouts;
use model::Keepalive;
use model::config::{IpvsTimeouts, KERNEL_TIMEOUT_MAX, KernelSettings, TcpTimeout};
use model::snapshot::Machine;

/// Time that is added for the way of a packet and for timers that end late because a processor is
/// busy.
const MARGIN: Duration = Duration::from_secs(60);

/// A timer of the kernel ends late by up to an eighth of its time, never early (the timer wheel,
/// kernel/time/timer.c, Linux 6.1). The timer of keepalive is one.
const TIMER_GRANULARITY: u32 = 8;

/// Returns the desired idle timeouts of IPVS. Zero leaves the kernel's value unchanged.
pub(crate) fn timeouts(settings: &KernelSettings, machine: Machine) -> Timeouts {
    let IpvsTimeouts { tcp, tcp_fin, udp } = settings.timeouts;
    let tcp = match tcp {
        TcpTimeout::Fixed(timeout) => timeout,
        TcpTimeout::MatchKeepalive => matching(machine.keepalive),
    };
    Timeouts { tcp, tcp_fin, udp }
}

/// Returns the desired timeout of an established TCP connection in the connection tracker, which
/// must not forget a connection before IPVS does. Zero leaves the kernel's value unchanged.
pub(super) fn tracked(settings: &KernelSettings, machine: Machine) -> Duration {
    let configured = settings.conntrack.tcp_established_timeout;
    match settings.timeouts.tcp {
        TcpTimeout::MatchKeepalive if !configured.is_zero() => {
            configured.max(matching(machine.keepalive))
        }
        _ => configured,
    }
}

/// Returns an idle timeout that keepalive of the node and of its pods needs.
///
/// Each pod has a network namespace with values of its own, and the kernel does not copy the
/// node's. Most pods have those of Linux, so the timeout is never shorter than these need.
fn matching(node: Option<Keepalive>) -> Duration {
    let pods = needed(Keepalive::LINUX);
    node.map_or(pods, |node| needed(node).max(pods))
        .min(KERNEL_TIMEOUT_MAX)
}

/// Returns the time without a packet that a connection with this keepalive can have and still be
/// alive: all probes but the last may be lost. In whole seconds.
fn needed(keepalive: Keepalive) -> Duration {
    let Keepalive {
        time,
        interval,
        probes,
    } = keepalive;
    let probing = u64::from(interval).saturating_mul(probes.into());
    let seconds = u64::from(time).saturating_add(probing);
    let late = seconds.div_ceil(TIMER_GRANULARITY.into());
    Duration::from_secs(seconds.saturating_add(late)).saturating_add(MARGIN)
}
