//! The walk of a packet through the hooks.

use std::net::IpAddr;

use ipvs::Protocol;
use model::host_rules::Hook;
use model::rules::{Table, Target};

use crate::condition::is_local;
use crate::filter::{Entered, Packet};
use crate::path::Node;
use crate::probe::ICMP;
use crate::{At, End, Outcome, Route, Step, Unjudged};

/// The walk of one packet, from its sender or from the choice of a real server.
pub(crate) struct Walk<'a, 'n> {
    pub(crate) node: &'n Node<'a>,
    pub(crate) from: At,
    pub(crate) steps: Vec<Step<'a>>,
}

impl<'a, 'n> Walk<'a, 'n> {
    pub(crate) fn new(node: &'n Node<'a>, from: At) -> Self {
        Self {
            node,
            from,
            steps: Vec::new(),
        }
    }

    pub(crate) fn enter(&mut self, mut packet: Packet) -> Result<End<'a>, Unjudged> {
        let ours = self.from == At::Host;
        let route = self.route(packet.destination);
        if ours {
            self.steps.push(Step::Route(route.clone()));
            if route == Route::Nowhere {
                // connect() fails, and no hook sees a packet.
                return Ok(End::Outcome(Outcome::Unreachable("host".to_owned())));
            }
        }
        let (raw, chain) = match ours {
            true => (Hook::RawOutput, "OUTPUT"),
            false => (Hook::RawPrerouting, "PREROUTING"),
        };
        self.untracked(raw, &mut packet)?;
        if let Some(outcome) = stopped(self.hook(Table::Nat, chain, &mut packet)?) {
            return Ok(End::Outcome(outcome));
        }
        if !ours {
            self.steps.push(Step::Route(route.clone()));
        } else if let Some(end) = self.balance(&packet)? {
            return Ok(end);
        }
        match route {
            Route::Nowhere => Ok(End::Outcome(Outcome::Unreachable("host".to_owned()))),
            Route::To(at) => self.forward(packet, &at).map(End::Outcome),
            Route::Virtual | Route::Own if ours => self.by_loopback(packet).map(End::Outcome),
            Route::Virtual | Route::Own => self.local_in(packet),
        }
    }

    fn route(&self, to: IpAddr) -> Route {
        let Node { tables, world, .. } = self.node;
        if world.is_own(to) {
            return Route::Own;
        }
        if is_local(tables, world, to) {
            return Route::Virtual;
        }
        world.locate(to).map_or(Route::Nowhere, Route::To)
    }

    fn local_in(&mut self, mut packet: Packet) -> Result<End<'a>, Unjudged> {
        if let Some(outcome) = self.input(&mut packet)? {
            return Ok(End::Outcome(outcome));
        }
        match self.balance(&packet)? {
            Some(end) => Ok(end),
            None => Ok(End::Outcome(self.node.socket(&packet))),
        }
    }

    /// Passes the packet through filter INPUT, and returns the result if it ends there.
    fn input(&mut self, packet: &mut Packet) -> Result<Option<Outcome>, Unjudged> {
        let decision = self.hook(Table::Filter, "INPUT", packet)?;
        // A rule of another program may stand before the chain of ours that accepts: the verdict
        // of the host's rules takes that chain into account.
        match stopped(decision) {
            Some(outcome) => Ok(Some(outcome)),
            None => self.dropped_by_host(Hook::Input, packet, None),
        }
    }

    /// Passes the packet through filter OUTPUT or FORWARD on its way to `at`. Returns the result if
    /// it ends there.
    pub(crate) fn leave(
        &mut self,
        hook: Hook,
        packet: &mut Packet,
        at: &At,
    ) -> Result<Option<Outcome>, Unjudged> {
        let chain = match hook {
            Hook::Forward => "FORWARD",
            _ => "OUTPUT",
        };
        let decision = self.hook(Table::Filter, chain, packet)?;
        if let Some(outcome) = stopped(decision) {
            return Ok(Some(outcome));
        }
        match decision {
            // The jumps to our chains stand first.
            Some(Target::Accept) => Ok(None),
            _ => self.dropped_by_host(hook, packet, at.interface()),
        }
    }

    /// Delivers a packet from the node to itself after IPVS: out by `lo` and in again.
    pub(crate) fn by_loopback(&mut self, mut packet: Packet) -> Result<Outcome, Unjudged> {
        if let Some(outcome) = self.leave(Hook::Output, &mut packet, &At::Host)? {
            return Ok(at_socket(outcome, packet.protocol));
        }
        let source = self.after_postrouting(&mut packet, &At::Host)?;
        packet.source = source.ok_or_else(|| Unjudged("MASQUERADE at lo".to_owned()))?;
        packet.entered = Entered::By("lo".to_owned());
        Ok((self.input(&mut packet)?).unwrap_or_else(|| self.node.socket(&packet)))
    }

    fn forward(&mut self, mut packet: Packet, at: &At) -> Result<Outcome, Unjudged> {
        let source = Some(packet.source);
        let bridged = matches!(self.from, At::Bridge(_)) && self.from == *at;
        if bridged && !self.node.world.bridge_calls_iptables {
            self.steps.push(Step::WithinBridge);
            return Ok(routed(self.node.arrived(&packet, source)?));
        }
        if self.from != At::Host && !bridged && !self.node.forwards() {
            self.steps.push(Step::NotForwarded);
            return Ok(Outcome::Lost);
        }
        let end = match self.from {
            At::Host => (self.leave(Hook::Output, &mut packet, at)?)
                .map(|outcome| at_socket(outcome, packet.protocol)),
            _ => self.leave(Hook::Forward, &mut packet, at)?,
        };
        if let Some(outcome) = end {
            return Ok(outcome);
        }
        let source = self.after_postrouting(&mut packet, at)?;
        Ok(routed(self.node.arrived(&packet, source)?))
    }

    /// Returns the source after nat POSTROUTING on the way to `at`; `None` if it is an address of
    /// the node, and it is not known which one.
    pub(crate) fn after_postrouting(
        &mut self,
        packet: &mut Packet,
        at: &At,
    ) -> Result<Option<IpAddr>, Unjudged> {
        let to = packet.destination;
        self.after_postrouting_by(packet, at, to)
    }

    /// Does the same for a packet that is routed by the next hop `to`.
    pub(crate) fn after_postrouting_by(
        &mut self,
        packet: &mut Packet,
        at: &At,
        to: IpAddr,
    ) -> Result<Option<IpAddr>, Unjudged> {
        let decision = self.hook(Table::Nat, "POSTROUTING", packet)?;
        if !matches!(decision, Some(Target::Masquerade { .. })) {
            return Ok(Some(packet.source));
        }
        let world = self.node.world;
        let source = match at {
            At::Host => world.address_by_loopback(to),
            at => world.address_at(at.interface(), to),
        };
        self.steps.push(Step::Masqueraded(source));
        Ok(source)
    }

    /// Passes the packet through our rules of a built-in chain. Returns the target that decided.
    pub(crate) fn hook(
        &mut self,
        table: Table,
        chain: &'static str,
        packet: &mut Packet,
    ) -> Result<Option<&'a Target>, Unjudged> {
        if table == Table::Nat && !packet.tracked {
            // nf_nat_inet_fn, net/netfilter/nf_nat_core.c: no connection, no translation.
            let by_ipvs = packet.sent_by.is_some() && !self.node.ipvs_tracks();
            self.steps.push(Step::NotTracked {
                table,
                chain,
                by_ipvs,
            });
            return Ok(None);
        }
        let (traversal, judged) = self.node.filter.traverse(table, chain, packet);
        let decision = traversal.decision;
        self.steps.push(Step::Chain(traversal));
        judged.map(|()| decision)
    }
}

/// Returns the result for a packet without virtual server that leaves the node.
fn routed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Delivered { to, seeing, .. } => Outcome::Routed { to, seeing },
        other => other,
    }
}

/// Returns the result of a packet whose path ends at `decision`.
pub(crate) fn stopped(decision: Option<&Target>) -> Option<Outcome> {
    match decision? {
        Target::Drop => Some(Outcome::Lost),
        Target::Reject(with) => Some(rejected(with)),
        _ => None,
    }
}

/// Returns the result of a packet that REJECT answers: `icmp-port-unreachable`,
/// `icmp6-port-unreachable`, `tcp-reset`.
pub(crate) fn rejected(with: &str) -> Outcome {
    if with == "tcp-reset" {
        return Outcome::Refused;
    }
    let what = with
        .trim_start_matches("icmp6-")
        .trim_start_matches("icmp-");
    Outcome::Unreachable(what.trim_end_matches("-unreachable").to_owned())
}

/// Returns the result for the program on the node that sends the packet by a socket. A drop is an
/// error of the system call, EPERM. TCP and SCTP do not report it and retry (`tcp_connect`,
/// net/ipv4/tcp_output.c).
fn at_socket(outcome: Outcome, protocol: Protocol) -> Outcome {
    match (outcome, protocol) {
        (Outcome::Lost, Protocol::Udp | ICMP) => Outcome::NotPermitted,
        (outcome, _) => outcome,
    }
}
