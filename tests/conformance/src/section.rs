//! The sections of a node's tables as lines of text, each complete by itself.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use model::{NodeTables, text};
use regex::Regex;

/// A part of a node's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Virtual servers and real servers, as `ipvsadm -Sn` prints them.
    Ipvs,
    /// The addresses of the dummy device.
    Addresses,
    /// The set entries, as `ipset save` prints them.
    Ipset,
    /// The sets themselves.
    IpsetCreate,
    /// Chains and rules for IPv4, each behind its table, without comments.
    Rules4,
    /// Chains and rules for IPv6.
    Rules6,
    /// Kernel settings.
    Sysctl,
    /// The idle timeouts, as `ipvsadm --set` takes them.
    Timeouts,
    /// The synchronisation daemons, as `ipvsadm --start-daemon` takes them.
    Sync,
}

/// A node's tables as lines, by section.
pub type Lines = BTreeMap<Section, Vec<String>>;

impl Section {
    /// Every section, in order.
    pub const ALL: [Self; 9] = [
        Self::Ipvs,
        Self::Addresses,
        Self::Ipset,
        Self::IpsetCreate,
        Self::Rules4,
        Self::Rules6,
        Self::Sysctl,
        Self::Timeouts,
        Self::Sync,
    ];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipvs => "ipvs",
            Self::Addresses => "addresses",
            Self::Ipset => "ipset",
            Self::IpsetCreate => "ipset-create",
            Self::Rules4 => "rules4",
            Self::Rules6 => "rules6",
            Self::Sysctl => "sysctl",
            Self::Timeouts => "timeouts",
            Self::Sync => "sync",
        }
    }

    /// Returns the section of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// Returns all names, for a message.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Returns true if the order of its lines is significant.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::Rules4 | Self::Rules6)
    }
}

/// Headings of [`text::print`].
const HEADINGS: [&str; 8] = [
    "ipvs",
    "addresses",
    "ipset",
    "rules4",
    "rules6",
    "sysctl",
    "timeouts",
    "sync",
];

/// Returns all sections of `tables`.
#[must_use]
pub fn lines(tables: &NodeTables) -> Lines {
    of_text(&text::print(tables))
}

/// Returns the sections of a text that [`text::print`] printed.
#[must_use]
pub fn of_text(printed: &str) -> Lines {
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut heading = "";
    for line in printed.lines() {
        match line.strip_prefix("# ") {
            // Any other heading is a comment of the file's author.
            Some(name) => {
                let known = HEADINGS.into_iter().find(|it| *it == name);
                heading = known.unwrap_or(heading);
            }
            None => parts.entry(heading).or_default().push(line),
        }
    }
    let part = |name: &str| parts.get(name).cloned().unwrap_or_default();
    let owned = |lines: Vec<&str>| lines.into_iter().map(str::to_owned).collect();
    let (creates, entries) =
        (part("ipset").into_iter()).partition(|line| line.starts_with("create "));
    BTreeMap::from([
        (Section::Ipvs, owned(part("ipvs"))),
        (Section::Addresses, owned(part("addresses"))),
        (Section::Ipset, owned(entries)),
        (Section::IpsetCreate, owned(creates)),
        (Section::Rules4, rule_lines(&part("rules4"))),
        (Section::Rules6, rule_lines(&part("rules6"))),
        (Section::Sysctl, owned(part("sysctl"))),
        (Section::Timeouts, owned(part("timeouts"))),
        (Section::Sync, owned(part("sync"))),
    ])
}

/// Returns the lines of `iptables-save`, each behind its table, without comments and without lines
/// that do not concern our chains: `nat -A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN`.
#[must_use]
pub fn rule_lines(saved: &[&str]) -> Vec<String> {
    static COMMENT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#" -m comment --comment ("[^"]*"|\S+)"#).ok());
    let mut table = "";
    let mut lines = Vec::new();
    for line in saved {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if line.starts_with(":KUBE-") || line.starts_with("-A ") {
            let comment = COMMENT.as_ref().filter(|_| line.contains("--comment"));
            let bare = comment.map(|comment| comment.replace_all(line, ""));
            let bare = bare.as_deref().unwrap_or(line);
            // Our chains have no policy, and their counters are not compared.
            let chain = bare
                .strip_prefix(':')
                .and_then(|chain| chain.split(' ').next());
            lines.push(match chain {
                Some(chain) => format!("{table} :{chain}"),
                None => format!("{table} {bare}"),
            });
        }
    }
    lines
}
