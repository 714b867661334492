//! Answers of real servers on their way back through the node.

use model::host_rules::Hook;
use model::rules::{Table, Target};

use crate::filter::{Entered, Packet};
use crate::path::Node;
use crate::walk::{Walk, stopped};
use crate::{At, Step, Unjudged};

/// Port of the client, to which the answer goes: one of those that Linux chooses for a socket
/// (`net.ipv4.ip_local_port_range`).
const CLIENT_PORT: u16 = 40_000;

impl<'a> Walk<'a, '_> {
    /// Returns the reason why the answer to `packet`, which IPVS sent to a real server at `at`, does
    /// not come back to the client.
    ///
    /// If the packet kept its source, the answer between two ports of a bridge is not routed.
    ///
    /// Connection tracking restores the client's address before `filter`, and IPVS the virtual
    /// address behind it (`ip_vs_ops4`, net/netfilter/ipvs/ip_vs_core.c).
    pub(crate) fn answer_lost(
        &self,
        packet: &Packet,
        at: &At,
        kept: bool,
    ) -> Result<Option<Step<'a>>, Unjudged> {
        let on_bridge = matches!(at, At::Bridge(_));
        let to_host = self.from == At::Host;
        let bridged = kept && on_bridge && self.from == *at;
        if !to_host && !bridged && !self.node.forwards() {
            return Ok(Some(Step::AnswerNotForwarded));
        }
        let mut answer = Packet {
            source: packet.destination,
            destination: packet.source,
            port: CLIENT_PORT,
            mark: 0,
            entered: at
                .interface()
                .map_or(Entered::Unknown, |name| Entered::By(name.to_owned())),
            from_bridge_port: on_bridge && self.node.world.bridge_calls_iptables,
            sent_by: None,
            answer: true,
            ..packet.clone()
        };
        let (hook, chain) = match to_host {
            true => (Hook::Input, "INPUT"),
            false => (Hook::Forward, "FORWARD"),
        };
        let (traversal, judged) = (self.node.filter).traverse(Table::Filter, chain, &mut answer);
        judged?;
        if stopped(traversal.decision).is_some() {
            let rule = traversal.rules.last();
            let by = rule.map_or(String::new(), |rule| format!("rule `{rule}`"));
            return Ok(Some(Step::AnswerDropped { hook, by }));
        }
        // The jumps to our chains in FORWARD stand first.
        if hook == Hook::Forward && matches!(traversal.decision, Some(Target::Accept)) {
            return Ok(None);
        }
        let exit = self.from.interface().filter(|_| !to_host);
        let rule = self.host_rule(hook, &answer, exit)?;
        Ok(rule.map(|rule| Step::AnswerDropped { hook, by: rule.by }))
    }
}

impl Node<'_> {
    /// Returns true if the node forwards packets of this family.
    pub(crate) fn forwards(&self) -> bool {
        !self.world.no_forwarding.contains(&self.family)
    }
}
