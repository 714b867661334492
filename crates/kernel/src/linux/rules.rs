//! Reads and writes iptables rules with the iptables programs.
//!
//! A reading runs one process per family, which prints all tables. A change runs one process, which
//! reads the whole change from its standard input and commits each table atomically, `nat` before
//! `filter`. A failure in `filter` leaves the change of `nat` applied.

mod choice;
mod nft_tables;
mod probe;
mod programs;
mod run;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ipvs::AddressFamily;
use model::host_rules::{Hook, HostRules};
use model::kernel::Errno;
use model::missing_family::FamilyGap;
use model::rules::{self, ChainKey, Rule, RulesPatch, Target};
use model::{Op, Snapshot};
use tracing::info;

use super::child::ChildError;
use super::families::lists_nat;
use super::stop::StopSignal;

use model::kernel::OpOutcome;
use model::kernel::{ObserveError, OpError, OpErrorKind};

pub use choice::{Choice, IptablesBackend, Reason, holders_of_our_chains};
pub(super) use nft_tables::NftTables;
use programs::{Search, Suite, Tool};
pub use programs::{Variant, Version};
pub(super) use run::IptablesError;

/// The packet filter of the network namespace of the calling thread.
///
/// Programs before 1.6.2 lack `--random-fully`, and their `iptables-restore` lacks `--wait`. Both
/// options are then omitted, as in kube-proxy (`MasqueradeRandomFullyMinVersion` and
/// `WaitRestoreMinVersion`, pkg/util/iptables/iptables.go, Kubernetes 1.30). Rules that were
/// written without `--random-fully` read as if they had it.
pub(super) struct Rules {
    backend: IptablesBackend,
    search: Search,
    chosen: Option<(Arc<Suite>, Choice)>,
    /// True if the choice of programs is logged.
    logs_choice: bool,
    /// Rules that were written without the desired `--random-fully`.
    degraded: Vec<(AddressFamily, ChainKey, Rule)>,
    stop: StopSignal,
}

impl Rules {
    /// Creates the packet filter without running a program. The programs are detected at their
    /// first use. `stop` ends running programs.
    pub(super) fn open(backend: IptablesBackend, stop: StopSignal) -> Self {
        Self::search(backend, Search::of_system(), stop)
    }

    /// Creates a packet filter that does not log its choice of programs, because another one logs
    /// it.
    pub(super) fn open_quietly(backend: IptablesBackend, stop: StopSignal) -> Self {
        Self {
            logs_choice: false,
            ..Self::open(backend, stop)
        }
    }

    fn search(backend: IptablesBackend, search: Search, stop: StopSignal) -> Self {
        Self {
            backend,
            search,
            chosen: None,
            logs_choice: true,
            degraded: Vec::new(),
            stop,
        }
    }

    /// Selects the packet filter `backend`.
    pub(super) fn set_backend(&mut self, backend: IptablesBackend) {
        let stop = self.stop.clone();
        *self = Self::open(backend, stop);
    }

    pub(super) fn set_stop(&mut self, stop: StopSignal) {
        self.stop = stop;
    }

    /// Returns the programs in use and the reason for their choice, or `None` before their first
    /// use.
    pub(super) fn chosen(&self) -> Option<&Choice> {
        self.chosen.as_ref().map(|(_, choice)| choice)
    }

    /// Adds the rules of both families and of other programs to `snapshot`. A family that the
    /// kernel lacks has no rules.
    pub(super) fn observe(&mut self, snapshot: &mut Snapshot) -> Result<(), ObserveError> {
        for family in AddressFamily::ALL {
            let text = self.save(family).map_err(|why| unreadable(family, why))?;
            let rules = rules::Rules::parse(&text);
            let rules = rules.map_err(|error| unreadable(family, IptablesError::Unread(error)))?;
            let rules = self.as_wanted(family, rules);
            snapshot.tables.rules.insert(family, rules);
            let held = rules::Rules::held_by_other_programs(&text);
            if held.is_empty() {
                snapshot.held_chains.remove(&family);
            } else {
                snapshot.held_chains.insert(family, held);
            }
            let others = HostRules::parse(&text);
            if others.is_empty() {
                snapshot.host_rules.remove(&family);
            } else {
                snapshot.host_rules.insert(family, others);
            }
        }
        Ok(())
    }

    /// Returns the feature that the packet filter of `family` lacks, or `None` if it is complete or
    /// unknown.
    pub(super) fn gap(&mut self, family: AddressFamily) -> Option<FamilyGap> {
        let suite = self.suite().ok()?;
        let (Some(save), Some(_)) = (
            suite.program(family, Tool::Save),
            suite.program(family, Tool::Restore),
        ) else {
            return Some(FamilyGap::NoProgram);
        };
        let has_nat = match suite.variant {
            Variant::Nft => probe::nft_has_nat(family),
            // Naming a table makes the kernel load it.
            Variant::Legacy => {
                let named = |saved: Result<String, IptablesError>| match saved {
                    Err(IptablesError::Failed(failure)) => !failure.lacks_family(),
                    Ok(_) | Err(_) => true,
                };
                lists_nat(family) || named(run::save_table(save, Some("nat"), &self.stop))
            }
        };
        (!has_nat).then_some(FamilyGap::NoNat)
    }

    /// Returns the rules of all tables of `family`. The text is empty if the kernel lacks the
    /// family.
    pub(super) fn save(&mut self, family: AddressFamily) -> Result<String, IptablesError> {
        let suite = self.suite()?;
        let Some(program) = suite.program(family, Tool::Save) else {
            return Ok(String::new());
        };
        match run::save(program, &self.stop) {
            Err(IptablesError::Failed(failure)) if failure.lacks_family() => Ok(String::new()),
            saved => saved,
        }
    }

    /// Applies `op`, which asks for this patch.
    pub(super) fn apply(
        &mut self,
        op: &Op,
        family: AddressFamily,
        patch: &RulesPatch,
    ) -> OpOutcome {
        let patched = self.patch(family, patch);
        patched.map_err(|why| op_error(op, family, &why))
    }

    fn patch(&mut self, family: AddressFamily, patch: &RulesPatch) -> Result<(), IptablesError> {
        if self.is_current()? {
            return self.restore(family, &patch.to_restore());
        }
        let (patch, degraded) = without_random_fully(patch);
        self.restore(family, &patch.to_restore())?;
        (self.degraded)
            .retain(|(there, chain, _)| *there != family || !patch.chains.contains_key(chain));
        (self.degraded).extend(
            degraded
                .into_iter()
                .map(|(chain, rule)| (family, chain, rule)),
        );
        Ok(())
    }

    /// Applies `input` to the packet filter of `family` without flushing other rules.
    pub(super) fn restore(
        &mut self,
        family: AddressFamily,
        input: &str,
    ) -> Result<(), IptablesError> {
        let waits = self.is_current()?;
        let suite = self.suite()?;
        match suite.program(family, Tool::Restore) {
            Some(program) => run::restore(program, waits, input, &self.stop),
            None => Err(IptablesError::NotFound(
                self.search.missing(suite.variant, family),
            )),
        }
    }

    fn is_current(&mut self) -> Result<bool, IptablesError> {
        self.suite()?;
        let version = self.chosen().and_then(|choice| choice.version);
        Ok(version.is_none_or(|version| version >= Version::RESTORE_WAITS))
    }

    /// Restores `--random-fully` in rules that were written without it.
    fn as_wanted(&self, family: AddressFamily, mut rules: rules::Rules) -> rules::Rules {
        for (_, chain, wanted) in self.degraded.iter().filter(|(of, ..)| *of == family) {
            let plain = rule_without_random_fully(wanted);
            let there = rules.chains.get_mut(chain).into_iter().flatten();
            for rule in there.filter(|rule| **rule == *plain) {
                rule.clone_from(wanted);
            }
        }
        rules
    }

    fn suite(&mut self) -> Result<Arc<Suite>, IptablesError> {
        if let Some((suite, _)) = &self.chosen {
            return Ok(Arc::clone(suite));
        }
        let (suite, choice) = choice::choose(self.backend, &self.search, &self.stop)?;
        if self.logs_choice {
            info!("the packet filter is changed by {choice}");
        }
        let suite = Arc::new(suite);
        self.chosen = Some((Arc::clone(&suite), choice));
        Ok(suite)
    }
}

/// Returns the rules of other programs at every hook, in the packet filter that `backend` selects.
///
/// # Errors
///
/// Fails if the rules cannot be read.
pub fn host_rules(
    backend: IptablesBackend,
) -> Result<BTreeMap<AddressFamily, HostRules>, ObserveError> {
    let mut rules = Rules::open_quietly(backend, StopSignal::default());
    let mut found = BTreeMap::new();
    for family in AddressFamily::ALL {
        let text = rules.save(family).map_err(|why| unreadable(family, why))?;
        found.insert(family, HostRules::parse_hooks(&text, &Hook::ALL));
    }
    Ok(found)
}

/// Returns the patch for an old iptables, and the rules that it changes.
fn without_random_fully(patch: &RulesPatch) -> (RulesPatch, Vec<(ChainKey, Rule)>) {
    let mut patch = patch.clone();
    let mut degraded = Vec::new();
    for (chain, rules) in &mut patch.chains {
        for rule in rules {
            if let Cow::Owned(plain) = rule_without_random_fully(rule) {
                degraded.push((chain.clone(), std::mem::replace(rule, plain)));
            }
        }
    }
    (patch, degraded)
}

/// Returns the rule without `--random-fully`, borrowed if the option is not set.
fn rule_without_random_fully(rule: &Rule) -> Cow<'_, Rule> {
    match rule.target {
        Target::Masquerade { random_fully: true } => Cow::Owned(Rule {
            matches: rule.matches.clone(),
            target: Target::Masquerade {
                random_fully: false,
            },
        }),
        _ => Cow::Borrowed(rule),
    }
}

/// Returns the error of a failed reading of the rules of `family`.
pub(super) fn unreadable(family: AddressFamily, why: IptablesError) -> ObserveError {
    let what = match family {
        AddressFamily::Ipv4 => "the IPv4 packet filter",
        AddressFamily::Ipv6 => "the IPv6 packet filter",
    };
    match &why {
        IptablesError::Failed(failure) if failure.not_permitted() => ObserveError::NotPermitted {
            what,
            source: Errno(libc::EPERM),
        },
        IptablesError::Killed {
            source: ChildError::Stopped,
            ..
        } => ObserveError::Stopping { what },
        _ => ObserveError::Failed {
            what,
            source: Box::new(why),
        },
    }
}

fn op_error(op: &Op, family: AddressFamily, why: &IptablesError) -> OpError {
    let kind = match why {
        IptablesError::Failed(failure) if failure.not_permitted() => OpErrorKind::NotPermitted,
        IptablesError::Failed(failure) if failure.locked() => OpErrorKind::FilterLocked,
        IptablesError::Failed(failure) if failure.lacks_family() => OpErrorKind::NoPacketFilter,
        IptablesError::NotFound(_) | IptablesError::NotRun { .. } => OpErrorKind::NoFilterProgram,
        IptablesError::Killed { source, .. } => match source {
            ChildError::Stopped => OpErrorKind::Stopping,
            _ => OpErrorKind::ProgramKilled,
        },
        IptablesError::Failed(_) | IptablesError::Unread(_) => OpErrorKind::FilterRefused,
    };
    let message = match why {
        IptablesError::Failed(failure) if failure.lacks_family() => {
            let six = match family {
                AddressFamily::Ipv4 => "",
                AddressFamily::Ipv6 => "6",
            };
            format!(
                "this kernel has no packet filter for {family}: load its modules (modprobe -a ip{six}table_nat \
                 ip{six}table_filter, or nf_tables), or use Services without {family}; {failure}"
            )
        }
        why => why.to_string(),
    };
    OpError::new(op.clone(), kind, None).with_message(Some(message))
}
