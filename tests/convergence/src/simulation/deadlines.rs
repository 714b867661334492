//! Entries of the tables that differ from the desired ones, and their deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipset::Entry;
use ipvs::{AddressFamily, VirtualServerKey};
use model::sets::{Destination, SetKind, served_by};
use model::{Desired, NodeConfig, NodeTables, Snapshot};

use crate::subject::{Subject, address_of, drains};

/// Kind of difference of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// The kernel lacks the entry, or has it with other settings.
    Lacking,
    /// The kernel has an entry that is not desired.
    Extra,
    /// As `Extra`: a real server that may drain, has weight 0 and no connections.
    Resting,
    /// As `Extra`: a real server that may drain, has weight 0, and connections.
    Draining,
}

impl Wrong {
    /// Returns true for a real server of weight 0 that waits for its deletion.
    pub(super) fn is_at_rest(self) -> bool {
        matches!(self, Self::Resting | Self::Draining)
    }
}

/// Reason for which an entry became wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The cluster changed, or the loop wrote.
    Change,
    /// The node's interfaces changed, and the loop was notified.
    Node,
    /// A changed configuration, or a restarted process.
    Anew,
    /// Another program wrote, and the loop was not notified.
    Meddled,
    /// A fault ended.
    Fault,
}

impl Cause {
    /// Returns true if the loop must read the kernel to detect it.
    pub(super) fn needs_reading(self) -> bool {
        self != Self::Change
    }
}

/// A wrong entry.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) since: Instant,
    pub(super) cause: Cause,
    /// Deadline; none while a fault excuses the entry.
    pub(super) until: Option<Instant>,
    /// Drain timeout on which the deadline of a draining real server is based.
    pub(super) timeout: Option<Duration>,
    /// True if another program made it wrong.
    pub(super) meddled: bool,
}

/// An entry that missed its deadline.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) subject: Subject,
    pub(super) what: String,
}

/// All wrong entries.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// The loop may delete a real server that has a weight: one that is lost, or has no
    /// connections.
    pub(super) deletes_at_once: bool,
    waiting: BTreeMap<(Subject, Wrong), Waiting>,
    /// Families with wrong rules.
    rules_lacking: BTreeSet<AddressFamily>,
    /// Foreign virtual servers, and those whose owner cannot be determined.
    pub(super) unjudged: BTreeSet<VirtualServerKey>,
    /// Virtual servers that look like ours only by their address or entry: another program added
    /// them, or a reading missed them.
    pub(super) intruders: BTreeSet<VirtualServerKey>,
}

impl Deadlines {
    pub(super) fn all(&self) -> &BTreeMap<(Subject, Wrong), Waiting> {
        &self.waiting
    }

    /// Returns the entries that are wrong now and were not before.
    pub(super) fn unknown(&self, wrong: &[(Subject, Wrong)]) -> Vec<(Subject, Wrong)> {
        (wrong.iter())
            .filter(|key| !self.waiting.contains_key(key))
            .cloned()
            .collect()
    }

    /// Stores the entries that are wrong now, and the deadlines of the new ones.
    pub(super) fn update(
        &mut self,
        wrong: Vec<(Subject, Wrong)>,
        new: Vec<((Subject, Wrong), Waiting)>,
    ) {
        let wrong: BTreeSet<_> = wrong.into_iter().collect();
        self.waiting.retain(|key, _| wrong.contains(key));
        self.waiting.extend(new);
    }

    /// Compares the rules, which takes longer than all other comparisons.
    pub(super) fn compare_rules(&mut self, desired: &NodeTables, live: &NodeTables) {
        let differ = |(family, rules): (&AddressFamily, _)| {
            (live.rules.get(family) != Some(rules)).then_some(*family)
        };
        self.rules_lacking = desired.rules.iter().filter_map(differ).collect();
    }

    /// Treats intruders without address and entry as foreign.
    pub(super) fn disown(&mut self, desired: &NodeTables, live: &Snapshot) {
        let alone = |key: &&VirtualServerKey| {
            live.tables.virtual_servers.contains_key(key)
                && !desired.virtual_servers.contains_key(key)
                && !planner::is_marked(live, **key)
        };
        let alone: Vec<_> = self.intruders.iter().filter(alone).copied().collect();
        for key in alone {
            self.intruders.remove(&key);
            self.unjudged.insert(key);
        }
    }

    /// Changes deadlines.
    pub(super) fn each(&mut self, mut change: impl FnMut(&Subject, Wrong, &mut Waiting)) {
        for ((subject, wrong), waiting) in &mut self.waiting {
            change(subject, *wrong, waiting);
        }
    }

    /// Extends all deadlines by `time`, in which the kernel was busy.
    pub(super) fn postpone(&mut self, time: Duration) {
        for waiting in self.waiting.values_mut() {
            waiting.until = waiting.until.map(|until| until + time);
        }
    }

    /// Fails if a deadline is before `now`. An entry whose prerequisites are wrong waits for these.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), Late> {
        let late = |waiting: &Waiting| waiting.until.is_some_and(|until| until < now);
        if !self.waiting.values().any(late) {
            return Ok(());
        }
        let keys: Vec<_> = (self.waiting.iter())
            .filter(|(_, waiting)| late(waiting))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            if let Some(other) = self.prerequisite(&key) {
                let until = other.until.map(|until| until + Duration::from_secs(2));
                if let Some(waiting) = self.waiting.get_mut(&key)
                    && until.is_none_or(|until| until >= now)
                {
                    waiting.until = until;
                    continue;
                }
            }
            let waiting = &self.waiting[&key];
            let what = format!(
                "{:?} is {:?} for {:.3} s, cause: {:?}{}",
                key.0,
                key.1,
                (now - waiting.since).as_secs_f64(),
                waiting.cause,
                if waiting.meddled { ", by hand" } else { "" }
            );
            return Err(Late {
                subject: key.0,
                what,
            });
        }
        Ok(())
    }

    /// Returns a wrong entry with a later deadline that the loop repairs before this one.
    fn prerequisite(&self, (subject, wrong): &(Subject, Wrong)) -> Option<&Waiting> {
        use Subject as S;
        let comes = *wrong == Wrong::Lacking;
        let first = |other: &Subject, how: Wrong| match (subject, other) {
            (S::Address(_), S::Device) => comes,
            (S::Address(at), S::VirtualServer(key)) => {
                !comes && how == Wrong::Extra && address_of(*key) == Some(*at)
            }
            (S::Address(_), S::Rules(_) | S::Entry(..) | S::Set(_)) => comes,
            (S::VirtualServer(key), S::Address(at)) => comes && address_of(*key) == Some(*at),
            (S::VirtualServer(_), S::Device | S::Rules(_) | S::Set(_)) => comes,
            (S::VirtualServer(key), S::Entry(_, entry)) => comes && served_by(entry, *key),
            (S::RealServer(key, _), S::VirtualServer(of)) => key == of,
            (S::RealServer(key, _), S::RealServer(of, _)) => {
                !comes && how == Wrong::Lacking && key == of
            }
            (S::Entry(..) | S::Rules(_), S::Set(_)) => true,
            (S::Entry(_, entry), S::VirtualServer(key)) => !comes && served_by(entry, *key),
            (S::Set(_), S::Rules(_)) => !comes,
            _ => false,
        };
        (self.waiting.iter())
            .filter(|((other, how), _)| first(other, *how))
            .map(|(_, waiting)| waiting)
            .max_by_key(|waiting| (waiting.until.is_none(), waiting.until))
    }

    /// Returns the entries of `live`, which has no rules, that differ from `desired`. Entries that
    /// other programs prevent do not count.
    pub(super) fn compare(
        &self,
        desired: &Desired,
        config: &NodeConfig,
        live: &Snapshot,
    ) -> Vec<(Subject, Wrong)> {
        let mut all = Vec::new();
        let tables = &live.tables;
        self.virtual_servers(desired, config, live, &mut all);
        let desired = &desired.tables;
        let missing = desired.addresses.difference(&tables.addresses);
        let missing: Vec<_> = missing
            .filter(|address| !self.is_taken(**address))
            .collect();
        if !missing.is_empty() && !live.device {
            all.push((Subject::Device, Wrong::Lacking));
        }
        let missing = missing.into_iter();
        all.extend(missing.map(|address| (Subject::Address(*address), Wrong::Lacking)));
        for address in tables.addresses.difference(&desired.addresses) {
            all.push((Subject::Address(*address), Wrong::Extra));
        }
        self.sets(desired, tables, &mut all);
        let rules = self.rules_lacking.iter();
        all.extend(rules.map(|family| (Subject::Rules(*family), Wrong::Lacking)));
        for (name, value) in &desired.sysctls {
            if tables.sysctls.get(name) != Some(value) {
                all.push((Subject::Sysctl(name.clone()), Wrong::Lacking));
            }
        }
        all
    }

    fn virtual_servers(
        &self,
        asked: &Desired,
        config: &NodeConfig,
        live: &Snapshot,
        all: &mut Vec<(Subject, Wrong)>,
    ) {
        let tables = &live.tables;
        let desired = &asked.tables;
        for (key, wanted) in &desired.virtual_servers {
            let unbound = address_of(*key).is_some_and(|address| {
                desired.addresses.contains(&address)
                    && !tables.addresses.contains(&address)
                    && self.is_taken(address)
            });
            if unbound || self.unjudged.contains(key) {
                continue;
            }
            let Some(entry) = tables.virtual_servers.get(key) else {
                all.push((Subject::VirtualServer(*key), Wrong::Lacking));
                continue;
            };
            if entry == wanted {
                continue;
            }
            if entry.server != wanted.server {
                all.push((Subject::VirtualServer(*key), Wrong::Lacking));
            }
            for (real, wanted) in &wanted.real_servers {
                if entry.real_servers.get(real) != Some(wanted) {
                    all.push((Subject::RealServer(*key, *real), Wrong::Lacking));
                }
            }
            for (real, weighed) in &entry.real_servers {
                if wanted.real_servers.contains_key(real) {
                    continue;
                }
                let wrong = match live.connections.get(&(*key, *real)) {
                    _ if !drains(asked, config, *key, *real) => Wrong::Extra,
                    // It should have weight 0, or be deleted.
                    _ if weighed.weight > 0 => match self.deletes_at_once {
                        false => Wrong::Lacking,
                        true => Wrong::Extra,
                    },
                    Some(_) => Wrong::Draining,
                    None => Wrong::Resting,
                };
                all.push((Subject::RealServer(*key, *real), wrong));
            }
        }
        for key in tables.virtual_servers.keys() {
            if !desired.virtual_servers.contains_key(key) && !self.unjudged.contains(key) {
                all.push((Subject::VirtualServer(*key), Wrong::Extra));
            }
        }
    }

    fn sets(&self, desired: &NodeTables, tables: &NodeTables, all: &mut Vec<(Subject, Wrong)>) {
        for (name, wanted) in &desired.sets {
            let Some(set) = tables.sets.get(name) else {
                all.push((Subject::Set(name.clone()), Wrong::Lacking));
                continue;
            };
            if set.entries == wanted.entries {
                continue;
            }
            for entry in wanted.entries.difference(&set.entries) {
                if !self.would_claim(entry) {
                    all.push((Subject::Entry(name.clone(), *entry), Wrong::Lacking));
                }
            }
            let extra = set.entries.difference(&wanted.entries);
            for entry in extra.filter(|entry| !self.is_stand_in(desired, tables, entry)) {
                all.push((Subject::Entry(name.clone(), *entry), Wrong::Extra));
            }
        }
        for name in tables.sets.keys() {
            if !desired.sets.contains_key(name) {
                all.push((Subject::Set(name.clone()), Wrong::Extra));
            }
        }
    }

    /// Returns true if `entry` marks a virtual server at a node port whose own entry would mark a
    /// foreign one.
    fn is_stand_in(&self, desired: &NodeTables, live: &NodeTables, entry: &Entry) -> bool {
        let Destination::VirtualServer(key) = Destination::of(*entry) else {
            return false;
        };
        let VirtualServerKey::Address { port, .. } = key else {
            return false;
        };
        let port = Entry::Port(port);
        let holds = |tables: &NodeTables| {
            let kinds = [SetKind::NodePortTcp, SetKind::NodePortUdp];
            let sets = kinds.map(|kind| tables.sets.get(&kind.name(AddressFamily::Ipv4)));
            sets.into_iter()
                .flatten()
                .any(|set| set.entries.contains(&port))
        };
        desired.virtual_servers.contains_key(&key)
            && holds(desired)
            && (!holds(live) || self.would_claim(&port))
    }

    /// Returns true if a foreign virtual server is at `address`.
    fn is_taken(&self, address: IpAddr) -> bool {
        (self.unjudged.iter()).any(|key| address_of(*key) == Some(address))
    }

    /// Returns true if `entry` would make a foreign virtual server look like ours.
    fn would_claim(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Ip(address) => self.is_taken(*address),
            _ => self.unjudged.iter().any(|key| served_by(entry, *key)),
        }
    }
}
