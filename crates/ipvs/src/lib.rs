//! IPVS, the Linux kernel's layer-4 load balancer: its types, `ipvsadm-save` text, and its
//! generic-netlink protocol.

mod types;

pub use types::{
    AddressFamily, Connections, Forwarding, Protocol, RealServer, RealServerKey, Scheduler,
    ServiceFlags, Timeouts, Tunnel, TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};
