//! IPVS: the virtual server of a packet, and the paths to its real servers.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, ServiceFlags, Tunnel, TunnelKind,
    VirtualServerKey,
};
use model::VirtualServerEntry;
use model::host_rules::Hook;
use model::rules::Table;

use crate::filter::{Entered, Packet};
use crate::path::Node;
use crate::walk::{Walk, stopped};
use crate::{At, Balance, Branch, End, Outcome, Route, Step, Unjudged};

/// `FTPPORT` and `FTPDATA`, include/net/ip_vs.h.
const FTP: u16 = 21;
const FTP_DATA: u16 = 20;

/// The first port that needs no privilege, the default of `net.ipv4.ip_unprivileged_port_start`.
const FIRST_UNPRIVILEGED: u16 = 1024;

impl<'a> Walk<'a, '_> {
    /// Returns the end of a packet that IPVS takes, or none if it has no virtual server.
    pub(crate) fn balance(&mut self, packet: &Packet) -> Result<Option<End<'a>>, Unjudged> {
        let Some(entry) = self.node.virtual_server(packet) else {
            self.steps.push(Step::NoVirtualServer);
            return Ok(None);
        };
        let server = &entry.server;
        let persistent = server.flags.contains(ServiceFlags::PERSISTENT);
        // ip_vs_schedule: "port zero only supported in persistent services".
        let never = matches!(server.key, VirtualServerKey::Address { port: 0, .. }) && !persistent;
        let branches = entry.real_servers.values().map(|real| {
            let mut walk = Walk::new(self.node, self.from.clone());
            let gets_connections = real.weight > 0 && !never;
            let outcome = gets_connections.then(|| walk.attempt(entry, real, packet));
            Branch {
                real,
                steps: walk.steps,
                outcome,
            }
        });
        Ok(Some(End::Balanced(Balance {
            server,
            branches: branches.collect(),
        })))
    }

    fn attempt(
        &mut self,
        entry: &VirtualServerEntry,
        real: &RealServer,
        packet: &Packet,
    ) -> Result<Outcome, Unjudged> {
        let mut packet = packet.clone();
        packet.sent_by = Some((packet.destination, packet.port));
        // IP_VS_CONN_F_NFCT, ip_vs_nat_send_or_cont, ip_vs_send_or_cont.
        packet.tracked &= self.node.ipvs_tracks();
        let at = self.node.world.locate(real.key.address);
        self.steps.push(Step::Route(match &at {
            _ if real.forwarding == Forwarding::LocalNode => Route::Own,
            Some(At::Host) => Route::Own,
            Some(at) => Route::To(at.clone()),
            None => Route::Nowhere,
        }));
        match (real.forwarding, at) {
            (Forwarding::LocalNode, _) => self.here(packet),
            (Forwarding::Bypass | Forwarding::Other(_), _) => Err(Unjudged(format!(
                "the real server {} by {}",
                real.key, real.forwarding
            ))),
            (_, None) => Ok(Outcome::Lost),
            (Forwarding::Masquerade, Some(at)) => {
                packet.port = port(entry, real, packet.port);
                packet.destination = real.key.address;
                self.translated(packet, &at)
            }
            (Forwarding::DirectRoute | Forwarding::Tunnel(_), Some(At::Host)) => self.here(packet),
            (Forwarding::DirectRoute, Some(at)) => self.direct(packet, real, &at),
            (Forwarding::Tunnel(tunnel), Some(at)) => self.tunnelled(&packet, real, tunnel, &at),
        }
    }

    /// Continues in the hook where IPVS found the packet (`ip_vs_nat_send_or_cont`,
    /// `ip_vs_null_xmit`).
    fn here(&mut self, packet: Packet) -> Result<Outcome, Unjudged> {
        match self.from {
            At::Host => self.by_loopback(packet),
            _ => Ok(self.node.socket(&packet)),
        }
    }

    fn translated(&mut self, mut packet: Packet, at: &At) -> Result<Outcome, Unjudged> {
        if *at == At::Host {
            return self.here(packet);
        }
        packet.entered = Entered::No;
        if self.dropped_at_output(&mut packet, at)? {
            return Ok(Outcome::Lost);
        }
        let source = self.after_postrouting(&mut packet, at)?;
        if source == Some(packet.destination) {
            // fib_validate_source, net/ipv4/fib_frontend.c: a martian source.
            self.steps.push(Step::FromReceiver);
            return Ok(Outcome::Lost);
        }
        let kept = source == Some(packet.source);
        if kept && self.answer_bypasses_node(packet.destination, at)? {
            self.steps.push(Step::AnswerBypassesNode);
            return Ok(Outcome::Lost);
        }
        if let Some(step) = self.answer_lost(&packet, at, kept)? {
            self.steps.push(step);
            return Ok(Outcome::Lost);
        }
        self.node.arrived(&packet, source)
    }

    fn direct(
        &mut self,
        mut packet: Packet,
        real: &RealServer,
        at: &At,
    ) -> Result<Outcome, Unjudged> {
        packet.entered = Entered::No;
        if self.dropped_at_output(&mut packet, at)? {
            return Ok(Outcome::Lost);
        }
        // IP_VS_RT_MODE_KNOWN_NH: the real server is the next hop.
        let to = real.key.address;
        Ok(Outcome::Forwarded {
            to,
            by: real.forwarding,
            seeing: self.after_postrouting_by(&mut packet, at, to)?,
        })
    }

    /// Sends the packet in an outer one, which is a connection of its own (`nf_reset_ct` in
    /// `ip_vs_tunnel_xmit_prepare`) and keeps the mark.
    fn tunnelled(
        &mut self,
        packet: &Packet,
        real: &RealServer,
        tunnel: Tunnel,
        at: &At,
    ) -> Result<Outcome, Unjudged> {
        let to = real.key.address;
        let source = self.node.own_source(to);
        let mut outer = Packet {
            source: source.ok_or_else(|| Unjudged(format!("a source address to {to}")))?,
            destination: to,
            port: tunnel.port,
            protocol: outer_protocol(tunnel.kind, packet)?,
            entered: Entered::No,
            sent_by: None,
            tracked: true,
            answer: false,
            ..packet.clone()
        };
        self.steps.push(Step::Encapsulated(to));
        let Node { tables, world, .. } = *self.node;
        let node = Node::new(tables, world, AddressFamily::of(to));
        let mut walk = Walk::new(&node, self.from.clone());
        let sent = walk.outer(&mut outer, at);
        self.steps.append(&mut walk.steps);
        Ok(match sent? {
            true => Outcome::Forwarded {
                to,
                by: real.forwarding,
                seeing: Some(packet.source),
            },
            false => Outcome::Lost,
        })
    }

    /// Returns true if the outer packet leaves the node.
    fn outer(&mut self, packet: &mut Packet, at: &At) -> Result<bool, Unjudged> {
        self.untracked(Hook::RawOutput, packet)?;
        let decision = self.hook(Table::Nat, "OUTPUT", packet)?;
        if stopped(decision).is_some() || self.dropped_at_output(packet, at)? {
            return Ok(false);
        }
        self.after_postrouting(packet, at)?;
        Ok(true)
    }

    /// Returns true if filter OUTPUT drops the packet that IPVS sends, which the sender of the
    /// original packet cannot detect.
    fn dropped_at_output(&mut self, packet: &mut Packet, at: &At) -> Result<bool, Unjudged> {
        Ok(self.leave(Hook::Output, packet, at)?.is_some())
    }

    /// Returns true if the answer reaches the client without passing this node, and therefore with
    /// the real server's address instead of the virtual one.
    fn answer_bypasses_node(&self, real: IpAddr, to: &At) -> Result<bool, Unjudged> {
        let world = self.node.world;
        match (&self.from, to) {
            (At::Node { name: from, .. }, At::Node { name: to, .. }) if from == to => Ok(true),
            (At::Bridge(from), At::Bridge(to)) => Ok(from == to && !world.bridge_calls_iptables),
            (At::Host | At::Bridge(_) | At::Pod(_), _)
            | (_, At::Host | At::Bridge(_) | At::Pod(_)) => Ok(false),
            _ if world.answers_pass_node => Ok(false),
            (At::Unknown(_), _) | (_, At::Unknown(_)) => Err(Unjudged(format!(
                "the way of the answer of {real}: its node, or that of the client, is not known"
            ))),
            (At::Node { .. } | At::Link(_), At::Node { .. } | At::Link(_)) => Ok(true),
        }
    }
}

impl<'a> Node<'a> {
    /// Returns false if packets that IPVS sends are not tracked.
    pub(crate) fn ipvs_tracks(&self) -> bool {
        let conntrack = self.tables.sysctls.get("net.ipv4.vs.conntrack");
        conntrack.is_none_or(|value| &**value != "0")
    }

    /// Returns the virtual server that a packet matches: `ip_vs_service_find`,
    /// net/netfilter/ipvs/ip_vs_ctl.c.
    fn virtual_server(&self, packet: &Packet) -> Option<&'a VirtualServerEntry> {
        let protocol = packet.protocol;
        if matches!(protocol, Protocol::Other(_)) {
            return None;
        }
        let find = |key| self.tables.virtual_servers.get(&key).map(AsRef::as_ref);
        let at = |port| {
            find(VirtualServerKey::Address {
                address: packet.destination,
                port,
                protocol,
            })
        };
        let by_mark = || {
            find(VirtualServerKey::Fwmark {
                family: AddressFamily::of(packet.destination),
                mark: NonZeroU32::new(packet.mark)?,
            })
        };
        // Data connections of FTP. A virtual server without persistence leaves them to the node
        // (ip_vs_leave).
        let of_ftp = || {
            let data = packet.port == FTP_DATA || packet.port >= FIRST_UNPRIVILEGED;
            let found = at(FTP).filter(|_| data && protocol == Protocol::Tcp)?;
            Some((found.server.flags.contains(ServiceFlags::PERSISTENT)).then_some(found))
        };
        match by_mark().or_else(|| at(packet.port)) {
            Some(found) => Some(found),
            None => of_ftp().unwrap_or_else(|| at(0)),
        }
    }
}

/// Returns the port of the real server for a connection to `port`: `ip_vs_schedule` and
/// `ip_vs_sched_persist`, net/netfilter/ipvs/ip_vs_core.c.
fn port(entry: &VirtualServerEntry, real: &RealServer, port: u16) -> u16 {
    let of_server = match entry.server.key {
        VirtualServerKey::Address { port, .. } => port,
        VirtualServerKey::Fwmark { .. } => 0,
    };
    let persistent = entry.server.flags.contains(ServiceFlags::PERSISTENT);
    if real.key.port == 0 || persistent && port != of_server {
        port
    } else {
        real.key.port
    }
}

/// Returns the protocol of the outer packet of a tunnel.
fn outer_protocol(kind: TunnelKind, packet: &Packet) -> Result<Protocol, Unjudged> {
    Ok(match kind {
        TunnelKind::Ipip if packet.destination.is_ipv4() => Protocol::Other(4),
        TunnelKind::Ipip => Protocol::Other(41),
        TunnelKind::Gue => Protocol::Udp,
        TunnelKind::Gre => Protocol::Other(47),
        TunnelKind::Other(_) => return Err(Unjudged(format!("a tunnel of {kind}"))),
    })
}
