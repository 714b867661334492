//! Finds and deletes leftovers of kube-proxy's other modes and of old versions on the node.

use std::collections::BTreeSet;
use std::fmt;

use ipset::client::{Client, OpenError, Request};
use ipvs::AddressFamily;
use model::kernel::Errno;
use model::leftovers::{Leftovers, NFT_TABLE, RuleLeftovers, nft_family, old_sets};

use super::rules::{Choice, IptablesBackend, NftTables, Rules, unreadable};
use super::stop::StopSignal;
use model::kernel::ObserveError;

/// Maximum number of attempts to read and delete leftovers that another program changes meanwhile.
const TRIES: u32 = 3;

/// Finds and deletes leftovers in the network namespace of the calling thread. It checks only the
/// packet filter that contains our rules.
///
/// Leftovers are not part of the desired state, so this type does not use
/// [`Kernel`](crate::Kernel).
pub struct Sweeper {
    rules: Rules,
}

/// Reason why a leftover was not deleted.
#[derive(Debug, thiserror::Error)]
#[error("failed to delete {what} that kube-proxy left")]
pub struct SweepError {
    /// Description of the leftovers.
    what: String,
    /// The cause.
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Sweeper {
    /// Creates a sweeper without running a program.
    #[must_use]
    pub fn open(backend: IptablesBackend) -> Self {
        Self {
            rules: Rules::open_quietly(backend, StopSignal::default()),
        }
    }

    /// Sets the stop signal, which kills running programs. A sweep that was stopped may have
    /// deleted only some of the rules.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.rules.set_stop(stop);
        self
    }

    /// Returns the leftovers. Reads all rules once per family.
    ///
    /// # Errors
    ///
    /// Fails if a table cannot be read.
    pub fn find(&mut self) -> Result<Leftovers, ObserveError> {
        let mut found = Leftovers::default();
        for family in AddressFamily::ALL {
            let saved = (self.rules.save(family)).map_err(|why| unreadable(family, why))?;
            found.absorb_rules(family, &saved);
        }
        found.nft_tables = nft_tables()?;
        find_sets(&mut found)?;
        Ok(found)
    }

    /// Returns the iptables programs in use and the reason for their choice, or `None` before their
    /// first use.
    #[must_use]
    pub fn iptables(&self) -> Option<&Choice> {
        self.rules.chosen()
    }

    /// Deletes all leftovers and returns them. It succeeds if there are none.
    ///
    /// Leftovers that handle connections before IPVS are deleted first. Sets are deleted last,
    /// because rules refer to them. Chains to which foreign rules jump stay.
    ///
    /// Call it after our own rules were written, since until then the leftovers serve the traffic.
    ///
    /// # Errors
    ///
    /// Fails if a table cannot be read, or with the leftovers that cannot be deleted. All others
    /// are deleted.
    pub fn sweep(&mut self) -> Result<Leftovers, Vec<SweepError>> {
        let unread = |source: ObserveError| {
            let what = "anything".to_owned();
            vec![SweepError::new(what, source)]
        };
        let first = self.find().map_err(unread)?;
        let mut failed = self.delete(&first);
        for _ in 1..TRIES {
            if failed.is_empty() {
                break;
            }
            let left = self.find().map_err(unread)?;
            failed = self.delete(&left);
        }
        if failed.is_empty() {
            Ok(first)
        } else {
            Err(failed)
        }
    }

    /// Deletes the rules of an old version's ipvs mode and returns them. Leftovers of other modes
    /// stay, since these modes may be about to serve.
    ///
    /// # Errors
    ///
    /// Fails if rules cannot be read or deleted. All others are deleted.
    pub fn sweep_old_ipvs_mode(&mut self) -> Result<Leftovers, Vec<SweepError>> {
        let mut found = Leftovers::default();
        let mut failed = Vec::new();
        for family in AddressFamily::ALL {
            match self.rules.save(family) {
                Ok(saved) => {
                    let rules = RuleLeftovers::of_old_ipvs_mode(&saved);
                    if !rules.is_empty() {
                        found.rules.insert(family, rules);
                    }
                }
                Err(why) => {
                    let what = format!("anything in the {family} rules");
                    failed.push(SweepError::new(what, unreadable(family, why)));
                }
            }
        }
        failed.extend(self.delete(&found));
        if failed.is_empty() {
            Ok(found)
        } else {
            Err(failed)
        }
    }

    fn delete(&mut self, leftovers: &Leftovers) -> Vec<SweepError> {
        let Leftovers {
            rules,
            nft_tables,
            sets,
        } = leftovers;
        let mut failed = Vec::new();
        for family in nft_tables {
            failed.extend(delete_table(*family).err());
        }
        for (family, rules) in rules {
            let input = rules.to_restore();
            if !input.is_empty() {
                let restored = self.rules.restore(*family, &input);
                let what = || format!("{rules} in the {family} rules");
                failed.extend(restored.err().map(|why| SweepError::new(what(), why)));
            }
        }
        if !sets.is_empty() {
            failed.extend(delete_sets(sets.iter().cloned()));
        }
        failed
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}

impl SweepError {
    fn new(what: String, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self { what, source }
    }
}

/// Returns the families that have a table of kube-proxy's nftables mode, at the cost of a few
/// messages.
///
/// # Errors
///
/// Fails if the tables cannot be read, usually because `CAP_NET_ADMIN` is missing.
pub fn nft_tables() -> Result<BTreeSet<AddressFamily>, ObserveError> {
    const WHAT: &str = "the tables of nf_tables";
    let failed = |source| ObserveError::Failed { what: WHAT, source };
    let mut tables = NftTables::open().map_err(|error| failed(error.into()))?;
    let mut found = BTreeSet::new();
    for family in AddressFamily::ALL {
        let has = tables.has(family, NFT_TABLE);
        let has = has.map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM) => ObserveError::NotPermitted {
                what: WHAT,
                source: Errno(libc::EPERM),
            },
            _ => failed(error.into()),
        })?;
        if has {
            found.insert(family);
        }
    }
    Ok(found)
}

fn delete_table(family: AddressFamily) -> Result<(), SweepError> {
    let what = || format!("table {} {NFT_TABLE}", nft_family(family));
    let mut tables = NftTables::open().map_err(|error| SweepError::new(what(), error))?;
    match tables.delete(family, NFT_TABLE) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
            Err(SweepError::new(what(), error))
        }
        _ => Ok(()),
    }
}

fn find_sets(found: &mut Leftovers) -> Result<(), ObserveError> {
    const WHAT: &str = "the names of the sets";
    let failed = |source| ObserveError::Failed { what: WHAT, source };
    let mut client = match Client::open() {
        Ok(client) => client,
        Err(OpenError::NoModule) => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    };
    let names = client.names().map_err(|error| failed(error.into()))?;
    (found.sets).extend(old_sets().filter(|name| names.contains(name)));
    Ok(())
}

fn delete_sets(names: impl Iterator<Item = ipset::SetName>) -> Vec<SweepError> {
    let names: Vec<_> = names.collect();
    let mut client = match Client::open() {
        Ok(client) => client,
        Err(error) => return vec![SweepError::new("sets".to_owned(), error)],
    };
    let requests: Vec<_> = names.iter().cloned().map(Request::Destroy).collect();
    let outcomes = client.execute(&requests).into_iter().zip(names);
    outcomes
        .filter_map(|(outcome, name)| {
            let error = outcome.err()?;
            Some(SweepError::new(format!("set {name}"), error))
        })
        .collect()
}
