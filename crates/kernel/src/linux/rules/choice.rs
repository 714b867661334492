//! Choice of one of the kernel's two packet filters.

use std::collections::BTreeSet;
use std::fmt;

use ipvs::AddressFamily;
use model::rules::Rules;

use super::probe;
use super::programs::{Program, Search, Suite, Tool, Variant, Version};
use super::run::{self, IptablesError};
use crate::linux::stop::StopSignal;

/// The packet filter of the kernel's two that holds our rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IptablesBackend {
    /// The one that the node uses: found out once, when rules are first read or changed.
    ///
    /// As the scripts of kubernetes-sigs/iptables-wrappers v2 do it: the one in whose `mangle` the kubelet has
    /// `KUBE-IPTABLES-HINT` (since Kubernetes 1.24) or `KUBE-KUBELET-CANARY` (since 1.17), nf_tables looked at
    /// first; else the one that holds more rules of any kind. Where both hold as many, the one of
    /// nf_tables if this kernel has nf_tables for IPv4, which those scripts do not look at.
    #[default]
    Auto,
    /// nf_tables, by `iptables-nft`.
    Nft,
    /// x_tables, by `iptables-legacy`.
    Legacy,
}

/// The programs that were chosen, and why. Prints in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The packet filter.
    pub variant: Variant,
    /// The programs' version; none where they do not tell.
    pub version: Option<Version>,
    /// The program that changes the rules of IPv4.
    pub program: String,
    /// Why.
    pub reason: Reason,
}

/// Why a packet filter was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is configured.
    Configured,
    /// There are no programs for the other one.
    OnlyOne,
    /// A chain of the kubelet is in it.
    Kubelet,
    /// It holds more rules than the other one.
    MoreRules {
        /// Number of rules in nf_tables.
        nft: usize,
        /// Number of rules in x_tables.
        legacy: usize,
    },
    /// Both hold as many rules, and this kernel has nf_tables for IPv4.
    NftWorks,
    /// This kernel has no nf_tables for IPv4.
    NftDoesNotWork,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variant,
            version,
            program,
            reason,
        } = self;
        write!(f, "{variant}")?;
        if let Some(version) = version {
            write!(f, " {version}")?;
        }
        write!(f, " ({program}): {reason}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("it is configured"),
            Self::OnlyOne => f.write_str("the other one is not installed"),
            Self::Kubelet => f.write_str("the kubelet uses it"),
            Self::MoreRules { nft, legacy } => {
                write!(f, "nf_tables holds {nft} rules and x_tables {legacy}")
            }
            Self::NftWorks => f.write_str("no rules speak for the other one"),
            Self::NftDoesNotWork => f.write_str("this kernel has no nf_tables for IPv4"),
        }
    }
}

/// Where chains of ours are: in which packet filters, and of which families. A variant whose programs are not
/// there, and a family that cannot be read, tell nothing.
///
/// Looks at both packet filters, whichever is used.
#[must_use]
pub fn holders_of_our_chains() -> BTreeSet<(Variant, AddressFamily)> {
    let search = Search::of_system();
    let stop = StopSignal::default();
    let suites =
        [Variant::Nft, Variant::Legacy].map(|variant| search.suite(variant, &stop).ok().flatten());
    let mut holders = BTreeSet::new();
    for suite in suites.iter().flatten() {
        for family in AddressFamily::ALL {
            let program = suite.program(family, Tool::Save);
            // Of the legacy one all tables are read, since the kernel makes a table that is named.
            let text = program.and_then(|program| run::save(program, &stop).ok());
            if text.is_some_and(|text| has_ours(&text)) {
                holders.insert((suite.variant, family));
            }
        }
    }
    holders
}

/// Returns true if there are chains of ours in what a program saved.
pub(super) fn has_ours(text: &str) -> bool {
    Rules::parse(text).is_ok_and(|rules| !rules.chains.is_empty())
}

/// The programs to use.
///
/// # Errors
///
/// There are none, or one was killed: a choice without its answer could be the wrong one.
pub(super) fn choose(
    backend: IptablesBackend,
    search: &Search,
    stop: &StopSignal,
) -> Result<(Suite, Choice), IptablesError> {
    let configured = |variant| {
        let suite = search.suite(variant, stop)?;
        let missing = || IptablesError::NotFound(search.missing(variant, AddressFamily::Ipv4));
        Ok((suite.ok_or_else(missing)?, Reason::Configured))
    };
    let (suite, reason) = match backend {
        IptablesBackend::Nft => configured(Variant::Nft),
        IptablesBackend::Legacy => configured(Variant::Legacy),
        IptablesBackend::Auto => {
            let nft = search.suite(Variant::Nft, stop)?;
            match (nft, search.suite(Variant::Legacy, stop)?) {
                (None, None) => Err(IptablesError::NotFound(search.missing_both())),
                (Some(suite), None) | (None, Some(suite)) => Ok((suite, Reason::OnlyOne)),
                (Some(nft), Some(legacy)) => find_out(nft, legacy, stop),
            }
        }
    }?;
    let program = suite.program(AddressFamily::Ipv4, Tool::Restore);
    let choice = Choice {
        variant: suite.variant,
        version: suite.version(stop)?,
        program: program.map(Program::to_string).unwrap_or_default(),
        reason,
    };
    Ok((suite, choice))
}

fn find_out(
    nft: Suite,
    legacy: Suite,
    stop: &StopSignal,
) -> Result<(Suite, Reason), IptablesError> {
    let read = |variant, table: Option<&str>| {
        let suite = match variant {
            Variant::Nft => &nft,
            Variant::Legacy => &legacy,
        };
        let mut all = String::new();
        for family in AddressFamily::ALL {
            let Some(program) = suite.program(family, Tool::Save) else {
                continue;
            };
            match run::save_table(program, table, stop) {
                Ok(text) => all.push_str(&text),
                Err(why @ IptablesError::Killed { .. }) => return Err(why),
                // A family that cannot be read speaks for nothing.
                Err(_) => {}
            }
        }
        Ok(all)
    };
    let (variant, reason) = decide(read, probe::nft_works)?;
    Ok(match variant {
        Variant::Nft => (nft, reason),
        Variant::Legacy => (legacy, reason),
    })
}

/// Decides by whether the kernel has nf_tables at all, and then by what `read` says that a variant's tables hold, all or
/// one.
///
/// Of the legacy one all are read, since the kernel makes a table that is named and not there.
pub(super) fn decide(
    read: impl Fn(Variant, Option<&str>) -> Result<String, IptablesError>,
    nft_works: impl FnOnce() -> bool,
) -> Result<(Variant, Reason), IptablesError> {
    if !nft_works() {
        return Ok((Variant::Legacy, Reason::NftDoesNotWork));
    }
    if has_kubelet(&read(Variant::Nft, Some("mangle"))?) {
        return Ok((Variant::Nft, Reason::Kubelet));
    }
    let legacy = read(Variant::Legacy, None)?;
    if has_kubelet(&legacy) {
        return Ok((Variant::Legacy, Reason::Kubelet));
    }
    let (nft, legacy) = (rules(&read(Variant::Nft, None)?), rules(&legacy));
    let more = Reason::MoreRules { nft, legacy };
    Ok(match nft.cmp(&legacy) {
        std::cmp::Ordering::Greater => (Variant::Nft, more),
        std::cmp::Ordering::Less => (Variant::Legacy, more),
        std::cmp::Ordering::Equal => (Variant::Nft, Reason::NftWorks),
    })
}

fn has_kubelet(text: &str) -> bool {
    let chains = text.lines().filter_map(|line| line.strip_prefix(':'));
    chains
        .filter_map(|line| line.split_ascii_whitespace().next())
        .any(|chain| matches!(chain, "KUBE-IPTABLES-HINT" | "KUBE-KUBELET-CANARY"))
}

fn rules(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with('-')).count()
}
