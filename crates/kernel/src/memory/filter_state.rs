//! Sets, iptables rules and settings.

use std::collections::{BTreeMap, BTreeSet};

use ipset::{Entry, Header, Set, SetName};
use ipvs::AddressFamily;
use model::names::Name;
use model::rules::{ChainKey, Match, Rule, Rules, RulesPatch, Target};
use model::{NodeTables, Scope, SetSelection, Snapshot};

use model::kernel::OpErrorKind;

/// Settings of Linux before any change.
const SETTINGS: [(&str, &str); 16] = [
    ("net.ipv4.vs.conntrack", "0"),
    ("net.ipv4.vs.conn_reuse_mode", "1"),
    ("net.ipv4.vs.expire_nodest_conn", "0"),
    ("net.ipv4.vs.expire_quiescent_template", "0"),
    ("net.ipv4.vs.sync_refresh_period", "0"),
    ("net.ipv4.vs.sync_threshold", "3\t50"),
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.conf.all.arp_ignore", "0"),
    ("net.ipv4.conf.all.arp_announce", "0"),
    ("net.netfilter.nf_conntrack_max", "65536"),
    ("net.netfilter.nf_conntrack_buckets", "65536"),
    (
        "net.netfilter.nf_conntrack_tcp_timeout_established",
        "432000",
    ),
    ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "60"),
    ("net.netfilter.nf_conntrack_tcp_be_liberal", "0"),
    ("net.netfilter.nf_conntrack_udp_timeout", "30"),
    ("net.netfilter.nf_conntrack_udp_timeout_stream", "120"),
];

/// Filter state and settings: all tables except virtual servers and addresses.
#[derive(Debug)]
pub(super) struct FilterState {
    sets: BTreeMap<SetName, Set>,
    rules: BTreeMap<AddressFamily, Rules>,
    held: BTreeMap<AddressFamily, BTreeSet<ChainKey>>,
    sysctls: BTreeMap<Name, Name>,
}

impl Default for FilterState {
    fn default() -> Self {
        let families = AddressFamily::ALL;
        Self {
            sets: BTreeMap::new(),
            rules: families.map(|family| (family, Rules::default())).into(),
            held: BTreeMap::new(),
            sysctls: (SETTINGS.iter())
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        }
    }
}

impl FilterState {
    pub(super) fn set(&mut self, tables: &NodeTables) {
        self.sets.clone_from(&tables.sets);
        self.rules.extend(tables.rules.clone());
        self.sysctls.extend(tables.sysctls.clone());
    }

    pub(super) fn hold(&mut self, family: AddressFamily, chain: ChainKey) {
        self.held.entry(family).or_default().insert(chain);
    }

    pub(super) fn read(&self, scope: &Scope, snapshot: &mut Snapshot) {
        snapshot.tables.sets = match &scope.sets {
            SetSelection::All => self.sets.clone(),
            SetSelection::Only(names) => (names.iter())
                .filter_map(|name| Some((name.clone(), self.sets.get(name)?.clone())))
                .collect(),
        };
        if scope.rules {
            snapshot.tables.rules.clone_from(&self.rules);
            snapshot.held_chains.clone_from(&self.held);
        }
        if scope.settings {
            snapshot.tables.sysctls.clone_from(&self.sysctls);
        }
    }

    pub(super) fn set_sysctl(&mut self, name: &Name, value: &Name) -> Result<(), OpErrorKind> {
        let there = self.sysctls.get_mut(name);
        *there.ok_or(OpErrorKind::NoSuchSetting)? = value.clone();
        Ok(())
    }

    pub(super) fn create_set(&mut self, name: &SetName, header: Header) -> Result<(), OpErrorKind> {
        if let Some(set) = self.sets.get(name) {
            return match set.header == header {
                true => Ok(()),
                false => Err(OpErrorKind::AlreadyExists),
            };
        }
        let entries = BTreeSet::new();
        self.sets.insert(name.clone(), Set { header, entries });
        Ok(())
    }

    pub(super) fn replace_set(&mut self, name: &SetName, set: &Set) -> Result<(), OpErrorKind> {
        let mut new = Set {
            header: set.header,
            entries: BTreeSet::new(),
        };
        for entry in &set.entries {
            add(&mut new, *entry)?;
        }
        let other_type = (self.sets.get(name)).is_some_and(|old| !old.header.is_like(set.header));
        if other_type && self.rules.values().any(|rules| uses_set(rules, name)) {
            return Err(OpErrorKind::SetInUse);
        }
        self.sets.insert(name.clone(), new);
        Ok(())
    }

    pub(super) fn add_entry(&mut self, name: &SetName, entry: Entry) -> Result<(), OpErrorKind> {
        let set = self.sets.get_mut(name).ok_or(OpErrorKind::NoSuchSet)?;
        add(set, entry)
    }

    pub(super) fn delete_entry(&mut self, name: &SetName, entry: Entry) -> Result<(), OpErrorKind> {
        let set = self.sets.get_mut(name).ok_or(OpErrorKind::NoSuchSet)?;
        set.header
            .fit(entry)
            .map_err(|_| OpErrorKind::Invalid)
            .map(|entry| {
                set.entries.remove(&entry);
            })
    }

    pub(super) fn destroy_set(&mut self, name: &SetName) -> Result<(), OpErrorKind> {
        if self.rules.values().any(|rules| uses_set(rules, name)) {
            return Err(OpErrorKind::SetInUse);
        }
        self.sets.remove(name);
        Ok(())
    }

    pub(super) fn patch_rules(
        &mut self,
        family: AddressFamily,
        patch: &RulesPatch,
    ) -> Result<(), OpErrorKind> {
        let live = self.rules.entry(family).or_default();
        let absent = (patch.delete_jumps.iter())
            .any(|(key, rule)| !(live.jumps.get(key)).is_some_and(|jumps| jumps.contains(rule)));
        let held = self.held.get(&family);
        let in_use =
            (patch.delete_chains.iter()).any(|chain| held.is_some_and(|held| held.contains(chain)));
        let mut after = live.clone();
        patch.apply(&mut after);
        let dangling = !rules_of(&after).all(|(table, rule)| {
            self.has_all_sets_of(rule)
                && match &rule.target {
                    Target::Jump(chain) => {
                        let key = ChainKey::new(table, chain.clone());
                        !key.is_ours() || after.chains.contains_key(&key)
                    }
                    _ => true,
                }
        });
        if absent || in_use || dangling {
            return Err(OpErrorKind::FilterRefused);
        }
        self.rules.insert(family, after);
        Ok(())
    }

    fn has_all_sets_of(&self, rule: &Rule) -> bool {
        sets_of(rule).all(|name| self.sets.contains_key(name))
    }
}

fn add(set: &mut Set, entry: Entry) -> Result<(), OpErrorKind> {
    let entry = set.header.fit(entry).map_err(|_| OpErrorKind::Invalid)?;
    if let Entry::IpPortNet(_, _, _, network) = entry
        && network.prefix() == 0
    {
        return Err(OpErrorKind::Invalid);
    }
    if let Header::Hash { max_elements, .. } = set.header
        && set.entries.len() >= usize::try_from(max_elements).unwrap_or(usize::MAX)
        && !set.entries.contains(&entry)
    {
        return Err(OpErrorKind::SetFull);
    }
    set.entries.insert(entry);
    Ok(())
}

fn rules_of(rules: &Rules) -> impl Iterator<Item = (model::rules::Table, &Rule)> {
    let chains = rules.chains.iter().chain(&rules.jumps);
    chains.flat_map(|(key, rules)| rules.iter().map(|rule| (key.table, rule)))
}

fn uses_set(rules: &Rules, name: &SetName) -> bool {
    rules_of(rules).any(|(_, rule)| rule.uses_set(name))
}

fn sets_of(rule: &Rule) -> impl Iterator<Item = &SetName> {
    rule.matches.iter().filter_map(|condition| match condition {
        Match::Set { name, .. } => Some(name),
        _ => None,
    })
}
