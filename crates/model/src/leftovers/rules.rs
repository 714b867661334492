//! Leftovers among the rules of one family.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::names::Name;
use crate::rules::{ChainKey, Rule, Table, Target, is_open};

/// Prefixes of the chains that the iptables mode creates for each Service and each endpoint, only
/// in `nat` (pkg/proxy/iptables/proxier.go: `KUBE-XLB-` before Kubernetes 1.24, the others in
/// 1.30).
const PER_SERVICE: [&str; 6] = [
    "KUBE-SVC-",
    "KUBE-SVL-",
    "KUBE-SEP-",
    "KUBE-FW-",
    "KUBE-EXT-",
    "KUBE-XLB-",
];

/// Chains that the iptables mode creates once. `KUBE-SERVICES` of `nat` is ours. `KUBE-SERVICES` of
/// `filter` rejects traffic to Services that had no endpoints when its kube-proxy stopped.
const SINGLE: [(&str, &str); 7] = [
    ("nat", "KUBE-NODEPORTS"),
    ("nat", "KUBE-PROXY-CANARY"),
    ("filter", "KUBE-EXTERNAL-SERVICES"),
    ("filter", "KUBE-NODEPORTS"),
    ("filter", "KUBE-PROXY-CANARY"),
    ("filter", "KUBE-SERVICES"),
    ("mangle", "KUBE-PROXY-CANARY"),
];

/// The chain of source ranges of the ipvs mode before Kubernetes 1.26, which later versions leave
/// behind. It uses sets that are still in use, so that these cannot be deleted. The chain of the
/// same name in `filter` is the kubelet's.
const OLD_IPVS_MODE: (&str, &str) = ("nat", "KUBE-FIREWALL");

/// The chain to which [`OLD_IPVS_MODE`] and the iptables mode before Kubernetes 1.26 jump. The
/// kubelet before 1.28 creates it too, without a use. If no leftover jumps to it, it is the
/// kubelet's.
const MARK_DROP: (&str, &str) = ("nat", "KUBE-MARK-DROP");

/// Leftovers among the rules of one family. Prints as a description in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleLeftovers {
    /// Leftovers by table: `nat`, `filter`, `mangle`. A table without leftovers is absent.
    pub tables: BTreeMap<Name, TableLeftovers>,
}

/// Leftovers in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableLeftovers {
    /// Chains to delete, with all their rules.
    pub chains: BTreeSet<Name>,
    /// Rules in built-in chains and in ours that jump to one of `chains`: the text after `-A `.
    pub jumps: Vec<Name>,
    /// Chains that have to stay, since a chain of another program jumps to them.
    pub held: BTreeSet<Name>,
    /// Chains of other programs that jump to the chains in `held`.
    pub held_by: BTreeSet<Name>,
}

impl TableLeftovers {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RuleLeftovers {
    /// Finds the leftovers in the output of `iptables-save`. Lines that do not parse are skipped.
    #[must_use]
    pub fn of(saved: &str) -> Self {
        Self::found(saved, is_leftover)
    }

    /// Finds the leftovers of the ipvs mode of an old version; ignores those of other modes.
    #[must_use]
    pub fn of_old_ipvs_mode(saved: &str) -> Self {
        Self::found(saved, |table, chain| (table, chain) == OLD_IPVS_MODE)
    }

    fn found(saved: &str, is_leftover: impl Fn(&str, &str) -> bool) -> Self {
        let mut tables = BTreeMap::new();
        for (name, table) in parse_tables(saved) {
            let found = table.leftovers(name, |chain| is_leftover(name, chain));
            if !found.is_empty() {
                tables.insert(name.into(), found);
            }
        }
        Self { tables }
    }

    /// Returns true if there are no leftovers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Returns the number of chains that can be deleted.
    #[must_use]
    pub fn chains(&self) -> usize {
        self.tables.values().map(|table| table.chains.len()).sum()
    }

    /// Returns the number of rules that jump to chains that can be deleted.
    #[must_use]
    pub fn jumps(&self) -> usize {
        self.tables.values().map(|table| table.jumps.len()).sum()
    }

    /// Returns the number of chains that have to stay.
    #[must_use]
    pub fn held(&self) -> usize {
        self.tables.values().map(|table| table.held.len()).sum()
    }

    /// Returns the chains of other programs that jump to leftovers, each with its table.
    #[must_use]
    pub fn held_by(&self) -> Vec<String> {
        let chains = (self.tables.iter())
            .flat_map(|(table, found)| found.held_by.iter().map(move |chain| (table, chain)));
        chains
            .map(|(table, chain)| format!("{table} {chain}"))
            .collect()
    }

    /// Returns the input of `iptables-restore --noflush` that deletes the jumps, then the chains.
    /// Empty if all chains have to stay.
    #[must_use]
    pub fn to_restore(&self) -> String {
        let mut text = String::new();
        for (name, table) in &self.tables {
            let TableLeftovers {
                chains,
                jumps,
                held: _,
                held_by: _,
            } = table;
            if chains.is_empty() && jumps.is_empty() {
                continue;
            }
            let mut line = |line: String| {
                text.push_str(&line);
                text.push('\n');
            };
            line(format!("*{name}"));
            // A `:CHAIN` line empties an existing chain.
            (chains.iter()).for_each(|chain| line(format!(":{chain} - [0:0]")));
            (jumps.iter()).for_each(|jump| line(format!("-D {jump}")));
            (chains.iter()).for_each(|chain| line(format!("-X {chain}")));
            line("COMMIT".to_owned());
        }
        text
    }
}

/// Maximum number of chains of other programs in the description.
const MAX_NAMED: usize = 3;

impl fmt::Display for RuleLeftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        write!(f, "{}", many(self.chains() + self.held(), "chain"))?;
        if self.jumps() > 0 {
            write!(f, " and {} to them", many(self.jumps(), "jump"))?;
        }
        if self.held() > 0 {
            let mut by = self.held_by();
            let more = by.len().saturating_sub(MAX_NAMED);
            by.truncate(MAX_NAMED);
            if more > 0 {
                by.push(format!("{more} more"));
            }
            write!(
                f,
                " ({} kept by chains of other programs: {})",
                self.held(),
                by.join(", ")
            )?;
        }
        Ok(())
    }
}

fn is_leftover(table: &str, chain: &str) -> bool {
    SINGLE.contains(&(table, chain))
        || (table, chain) == OLD_IPVS_MODE
        || (table == "nat" && PER_SERVICE.iter().any(|prefix| chain.starts_with(prefix)))
}

fn is_ours(table: &str, chain: &str) -> bool {
    let mut tables = Table::ALL.into_iter();
    let table = tables.find(|of| of.to_string() == table);
    table.is_some_and(|table| ChainKey::new(table, chain).is_ours())
}

/// The chains and jumps of one table.
#[derive(Default)]
struct ParsedTable<'a> {
    chains: BTreeSet<&'a str>,
    built_in: BTreeSet<&'a str>,
    /// Rules that jump to another chain: the text after `-A `, the chain of the rule, the target.
    jumps: Vec<(&'a str, &'a str, Name)>,
}

impl ParsedTable<'_> {
    fn leftovers(&self, table: &str, is_leftover: impl Fn(&str) -> bool) -> TableLeftovers {
        let found = (self.chains.iter()).filter(|chain| is_leftover(chain));
        let mut chains: BTreeSet<Name> = found.map(|chain| Name::from(*chain)).collect();
        if table == MARK_DROP.0 && self.lead_to(&chains, MARK_DROP.1) {
            chains.insert(MARK_DROP.1.into());
        }
        let all = chains.clone();
        let (held, held_by) = self.held(table, &all);
        chains.retain(|chain| !held.contains(chain));
        let jumps = (self.jumps.iter())
            .filter(|(_, from, to)| chains.contains(to) && !all.contains(*from))
            .map(|(rule, ..)| Name::from(*rule))
            .collect();
        TableLeftovers {
            chains,
            jumps,
            held,
            held_by,
        }
    }

    /// Returns true if the chain `target` exists and one of `chains` jumps to it.
    fn lead_to(&self, chains: &BTreeSet<Name>, target: &str) -> bool {
        let mut jumps = self.jumps.iter();
        self.chains.contains(target)
            && jumps.any(|(_, from, to)| chains.contains(*from) && **to == *target)
    }

    /// Returns the chains among `chains` that a chain of another program reaches, directly or
    /// through other leftovers, and the chains of other programs.
    fn held(&self, table: &str, chains: &BTreeSet<Name>) -> (BTreeSet<Name>, BTreeSet<Name>) {
        let others = |chain: &str| {
            !self.built_in.contains(chain) && !chains.contains(chain) && !is_ours(table, chain)
        };
        let mut targets: BTreeMap<&str, Vec<&Name>> = BTreeMap::new();
        for (_, from, to) in &self.jumps {
            targets.entry(from).or_default().push(to);
        }
        let (mut held, mut held_by) = (BTreeSet::new(), BTreeSet::new());
        let mut next = Vec::new();
        for (_, from, to) in &self.jumps {
            if chains.contains(to) && others(from) {
                held_by.insert(Name::from(*from));
                next.push(to.clone());
            }
        }
        while let Some(chain) = next.pop() {
            if chains.contains(&chain) && held.insert(chain.clone()) {
                let targets = targets.get(&*chain).into_iter().flatten();
                next.extend(targets.map(|to| Name::clone(to)));
            }
        }
        (held, held_by)
    }
}

fn parse_tables(saved: &str) -> BTreeMap<&str, ParsedTable<'_>> {
    let mut tables: BTreeMap<&str, ParsedTable<'_>> = BTreeMap::new();
    let mut table = None;
    // A comment is printed with its line breaks: lines of an open comment are not rules.
    let mut open = false;
    for line in saved.lines() {
        if open {
            open = is_open(&format!("\"{line}"));
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            table = Some(tables.entry(name.trim()).or_default());
        } else if let (Some(table), Some(chain)) = (&mut table, line.strip_prefix(':')) {
            let mut words = chain.split_ascii_whitespace();
            let name = words.next().unwrap_or_default();
            table.chains.insert(name);
            if words.next().is_some_and(|policy| policy != "-") {
                table.built_in.insert(name);
            }
        } else if let (Some(table), Some(rule)) = (&mut table, line.strip_prefix("-A ")) {
            open = is_open(rule);
            let (chain, conditions) = rule.split_once(' ').unwrap_or((rule, ""));
            if let Some(to) = target(conditions) {
                table.jumps.push((rule, chain, to));
            }
        }
    }
    tables
}

/// Returns the chain that a rule jumps to. It may also be a target without options, which does not
/// match the name of any chain.
fn target(rule: &str) -> Option<Name> {
    match Rule::parse(rule).target {
        Target::Jump(chain) => Some(chain),
        Target::Other(text) => text.strip_prefix("-g ").map(Name::from),
        _ => None,
    }
}
