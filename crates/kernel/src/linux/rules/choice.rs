//! Chooses between the two packet filters of the kernel.

use std::collections::BTreeSet;
use std::fmt;

use ipvs::AddressFamily;
use model::rules::Rules;

use super::probe;
use super::programs::{Program, Search, Suite, Tool, Variant, Version};
use super::run::{self, IptablesError};
use crate::linux::stop::StopSignal;

/// Selects the packet filter that contains our rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IptablesBackend {
    /// The packet filter that the node uses, detected once when rules are first read or changed.
    ///
    /// The detection follows the scripts of kubernetes-sigs/iptables-wrappers v2:
    /// 1. It selects the packet filter whose table `mangle` contains the chain `KUBE-IPTABLES-HINT`
    ///    (since Kubernetes 1.24) or `KUBE-KUBELET-CANARY` (since 1.17) of the kubelet. nf_tables
    ///    is checked first.
    /// 2. Otherwise it selects the packet filter with more rules of any kind.
    /// 3. If both have the same number of rules, it selects nf_tables.
    ///
    /// Unlike these scripts it first checks whether the kernel supports nf_tables for IPv4. If not,
    /// it selects x_tables.
    #[default]
    Auto,
    /// nf_tables, through `iptables-nft`.
    Nft,
    /// x_tables, through `iptables-legacy`.
    Legacy,
}

/// The chosen programs and the reason for the choice. Prints as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The packet filter.
    pub variant: Variant,
    /// Version of the programs; `None` if they do not print it.
    pub version: Option<Version>,
    /// The program that changes the rules of IPv4.
    pub program: String,
    /// Reason for the choice.
    pub reason: Reason,
}

/// Reason why a packet filter was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The configuration selects it.
    Configured,
    /// The programs of the other one are not installed.
    OnlyOne,
    /// A chain of the kubelet is in it.
    Kubelet,
    /// Its tables have more rules than those of the other one.
    MoreRules {
        /// Number of rules in nf_tables.
        nft: usize,
        /// Number of rules in x_tables.
        legacy: usize,
    },
    /// Both have the same number of rules, and this kernel has nf_tables for IPv4.
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
            Self::NftWorks => f.write_str("both hold the same number of rules"),
            Self::NftDoesNotWork => f.write_str("this kernel has no nf_tables for IPv4"),
        }
    }
}

/// Returns the packet filters and families that contain chains of ours. A variant without programs
/// and a family that cannot be read are skipped.
///
/// Both packet filters are checked, whichever is in use.
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
            // Reads all tables of the legacy variant, since naming a table makes the kernel create
            // it.
            let text = program.and_then(|program| run::save(program, &stop).ok());
            if text.is_some_and(|text| has_ours(&text)) {
                holders.insert((suite.variant, family));
            }
        }
    }
    holders
}

/// Returns true if the saved rules `text` contain chains of ours.
pub(super) fn has_ours(text: &str) -> bool {
    Rules::parse(text).is_ok_and(|rules| !rules.chains.is_empty())
}

/// Chooses the programs.
///
/// # Errors
///
/// Fails if no program exists, or if one was killed. A choice without its answer could be wrong.
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
                (Some(nft), Some(legacy)) => detect(nft, legacy, stop),
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

fn detect(nft: Suite, legacy: Suite, stop: &StopSignal) -> Result<(Suite, Reason), IptablesError> {
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
                // A family that cannot be read is ignored.
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

/// Decides first by the kernel's support of nf_tables, then by the contents of each variant's
/// tables. `read` returns all tables, or one.
///
/// Of the legacy variant all tables are read, since naming a missing table makes the kernel create
/// it.
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
