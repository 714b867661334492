//! Rules of other programs on the path of a packet.

use model::host_rules::{HarmfulTarget, Hook, HostPacket, HostPath, HostVerdict};

use crate::filter::{Entered, Packet};
use crate::walk::{Walk, rejected};
use crate::{Outcome, Step, Unjudged};

/// Maximum number of evaluated rules of other programs at one hook.
const HOST_RULES: usize = 100_000;

impl Walk<'_, '_> {
    /// Marks the packet as not tracked if a rule of `raw` exempts it from connection tracking,
    /// without which no rule of `nat` applies.
    pub(crate) fn untracked(&mut self, hook: Hook, packet: &mut Packet) -> Result<(), Unjudged> {
        if let Some(rule) = self.host_rule(hook, packet, None)? {
            packet.tracked = false;
            self.steps.push(Step::HostRule { hook, rule });
        }
        Ok(())
    }

    /// Returns the rule or policy of another program that drops the packet or exempts it from
    /// connection tracking.
    pub(crate) fn host_rule(
        &self,
        hook: Hook,
        packet: &Packet,
        exit: Option<&str>,
    ) -> Result<Option<HarmfulTarget>, Unjudged> {
        let rules = self.node.host_rules.as_ref();
        let Some(rules) = rules.filter(|rules| rules.may_harm(hook)) else {
            return Ok(None);
        };
        if !packet.tracked {
            // Their conditions are evaluated for a packet of state NEW.
            let what =
                format!("the rules of other programs in {hook} for a packet without tracking");
            return Err(Unjudged(what));
        }
        let of_packet = HostPacket {
            address: packet.destination,
            port: packet.port,
            protocol: packet.protocol,
        };
        let path = HostPath {
            source: Some(packet.source),
            entry: match &packet.entered {
                Entered::By(name) => Some(name.as_str().into()),
                Entered::No | Entered::Unknown => None,
            },
            exit: exit.map(Into::into),
            answer: packet.answer,
        };
        let mut steps = HOST_RULES;
        match rules.verdict(hook, of_packet, &path, &self.node.tables.sets, &mut steps) {
            HostVerdict::Unharmed => Ok(None),
            HostVerdict::Harmed(rule) => Ok(Some(rule)),
            HostVerdict::Unknown(rule) => {
                Err(Unjudged(format!("a rule of another program: {rule}")))
            }
        }
    }

    /// Returns the result if a rule or policy of another program drops the packet.
    pub(crate) fn dropped_by_host(
        &mut self,
        hook: Hook,
        packet: &Packet,
        exit: Option<&str>,
    ) -> Result<Option<Outcome>, Unjudged> {
        let Some(rule) = self.host_rule(hook, packet, exit)? else {
            return Ok(None);
        };
        let outcome = match &rule.reject_with {
            Some(with) => rejected(with),
            None => Outcome::Lost,
        };
        self.steps.push(Step::HostRule { hook, rule });
        Ok(Some(outcome))
    }
}
