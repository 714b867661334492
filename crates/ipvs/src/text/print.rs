//! Prints lines.

use std::fmt::Write as _;

use crate::types::{
    AddressFamily, Forwarding, Protocol, RealServer, ServiceFlags, Tunnel, TunnelFlags, TunnelKind,
    VirtualServer, VirtualServerKey,
};

/// Returns the line that adds `server`: `-A -t 10.96.0.10:80 -s rr -p 10800`.
#[must_use]
pub fn print_virtual_server(server: &VirtualServer) -> String {
    // The destructuring makes sure that a new field is not forgotten here.
    let VirtualServer {
        key,
        scheduler,
        flags,
        persistence_timeout,
        persistence_prefix,
        persistence_engine,
    } = server;
    let mut line = format!("-A {} -s {scheduler}", print_service_selector(key));
    if flags.contains(ServiceFlags::PERSISTENT) {
        let _ = write!(line, " -p {}", persistence_timeout.as_secs());
        match key.family() {
            AddressFamily::Ipv4 if *persistence_prefix != 32 => {
                let _ = write!(line, " -M {}", netmask(*persistence_prefix));
            }
            AddressFamily::Ipv6 if *persistence_prefix != 128 => {
                let _ = write!(line, " -M {persistence_prefix}");
            }
            _ => {}
        }
    }
    if let Some(engine) = persistence_engine {
        let _ = write!(line, " --pe {engine}");
    }
    if flags.contains(ServiceFlags::ONE_PACKET) {
        line.push_str(" -o");
    }
    let names = scheduler_flags(&scheduler.0, *flags);
    if !names.is_empty() {
        let _ = write!(line, " -b {}", names.join(","));
    }
    line
}

/// Returns the line that adds `real` to the virtual server `key`: `-a -t 10.96.0.10:80 -r
/// 10.1.2.3:8080 -m -w 1`.
#[must_use]
pub fn print_real_server(key: &VirtualServerKey, real: &RealServer) -> String {
    let RealServer {
        key: real_key,
        forwarding,
        weight,
        upper_threshold,
        lower_threshold,
    } = real;
    let mut line = format!("-a {} -r {real_key}", print_service_selector(key));
    let option = match forwarding {
        Forwarding::Masquerade => "-m".to_owned(),
        Forwarding::Tunnel(_) => "-i".to_owned(),
        Forwarding::DirectRoute => "-g".to_owned(),
        // ipvsadm has no option for these.
        Forwarding::LocalNode => "--local".to_owned(),
        Forwarding::Bypass => "--bypass".to_owned(),
        Forwarding::Other(number) => format!("--forwarding-{number}"),
    };
    let _ = write!(line, " {option} -w {weight}");
    if let Forwarding::Tunnel(tunnel) = forwarding {
        line.push_str(&tunnel_options(*tunnel));
    }
    // ipvsadm-save does not print these; ipvsadm-restore accepts them.
    if *upper_threshold != 0 {
        let _ = write!(line, " -x {upper_threshold}");
    }
    if *lower_threshold != 0 {
        let _ = write!(line, " -y {lower_threshold}");
    }
    line
}

/// Returns the options that select a virtual server: `-t 10.96.0.10:80`, `-u [fd00::1]:53`,
/// `-f 7 -6`.
#[must_use]
pub fn print_service_selector(key: &VirtualServerKey) -> String {
    match key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => {
            let socket = std::net::SocketAddr::new(*address, *port);
            match protocol {
                Protocol::Tcp => format!("-t {socket}"),
                Protocol::Udp => format!("-u {socket}"),
                Protocol::Sctp => format!("--sctp-service {socket}"),
                // ipvsadm has no option for it.
                Protocol::Other(number) => format!("--protocol-{number} {socket}"),
            }
        }
        VirtualServerKey::Fwmark { family, mark } => match family {
            AddressFamily::Ipv4 => format!("-f {mark}"),
            AddressFamily::Ipv6 => format!("-f {mark} -6"),
        },
    }
}

fn tunnel_options(tunnel: Tunnel) -> String {
    let mut options = match tunnel.kind {
        TunnelKind::Ipip => " --tun-type ipip".to_owned(),
        TunnelKind::Gue => format!(" --tun-type gue --tun-port {}", tunnel.port),
        TunnelKind::Gre => " --tun-type gre".to_owned(),
        TunnelKind::Other(number) => format!(" --tun-type {number}"),
    };
    if !matches!(tunnel.kind, TunnelKind::Gue) && tunnel.port != 0 {
        let _ = write!(options, " --tun-port {}", tunnel.port);
    }
    let checksums = if tunnel.flags.contains(TunnelFlags::REMCSUM) {
        " --tun-remcsum"
    } else if tunnel.flags.contains(TunnelFlags::CSUM) {
        " --tun-csum"
    } else if matches!(tunnel.kind, TunnelKind::Ipip) {
        ""
    } else {
        " --tun-nocsum"
    };
    options.push_str(checksums);
    options
}

fn netmask(prefix: u8) -> std::net::Ipv4Addr {
    let bits = u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0);
    bits.into()
}

/// Returns the names of the scheduler's flags, as `ipvsadm --set-scheduler-flags` expects them:
/// `sh-port`, `mh-fallback`, `flag-3`. Other flags are ignored.
#[must_use]
pub fn scheduler_flags(scheduler: &str, flags: ServiceFlags) -> Vec<&'static str> {
    let names = flag_names(scheduler);
    [
        ServiceFlags::SCHED_1,
        ServiceFlags::SCHED_2,
        ServiceFlags::SCHED_3,
    ]
    .into_iter()
    .zip(names)
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, name)| name)
    .collect()
}

/// Returns the names of the three flags of `scheduler`.
pub(super) fn flag_names(scheduler: &str) -> [&'static str; 3] {
    match scheduler {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    }
}
