//! Reads and writes our ipsets.

use std::collections::BTreeMap;

use ipset::client::{Client, ErrorKind, OpenError, ReadError, Request, RequestError};
use ipset::{Set, SetName};
use ipvs::AddressFamily;
use model::kernel::Errno;
use model::sets::SetKind;
use model::{Op, SetSelection, Snapshot};
use netlink::Failure;

use super::batch::Batch;
use model::kernel::OpOutcome;
use model::kernel::{ObserveError, OpError, OpErrorKind};

const WHAT: &str = "the sets";

/// The sets of one network namespace. The socket is opened at the first use, so that a kernel
/// without sets can be read.
#[derive(Default)]
pub(super) struct Sets {
    client: Option<Client>,
    /// True once the temporary sets of a killed process have been removed.
    swept: bool,
}

impl Sets {
    /// Adds our sets of `selection` to `snapshot`.
    pub(super) fn observe(
        &mut self,
        selection: &SetSelection,
        snapshot: &mut Snapshot,
    ) -> Result<(), ObserveError> {
        if *selection == SetSelection::Only([].into()) {
            return Ok(());
        }
        let client = match self.client() {
            Ok(client) => client,
            Err(OpenError::NoModule) => return Ok(()),
            Err(error) => return Err(closed(error)),
        };
        snapshot.tables.sets = match selection {
            SetSelection::All => {
                // Foreign sets may be large and are not read.
                let there = client.names().map_err(unreadable)?;
                read(client, our_names().filter(|name| there.contains(name)))?
            }
            SetSelection::Only(names) => read(client, names.iter().cloned())?,
        };
        Ok(())
    }

    /// Applies consecutive set changes of a stage.
    pub(super) fn apply(&mut self, batch: &Batch<'_, Request>) -> Vec<OpOutcome> {
        let swept = std::mem::replace(&mut self.swept, true);
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => {
                let message = model::chain(&error);
                return batch.refused(|op| not_open(op, &message, &error));
            }
        };
        if !swept {
            // A temporary set that remains does no harm: replacing its set retries the deletion.
            let names: Vec<SetName> = our_names().collect();
            let _ = client.destroy_leftovers(&names);
        }
        let answers = client.execute(batch.requests());
        batch.outcomes(answers, |op, error| op_error(op, &error))
    }

    fn client(&mut self) -> Result<&mut Client, OpenError> {
        match &mut self.client {
            Some(client) => Ok(client),
            none => Ok(none.insert(Client::open()?)),
        }
    }
}

/// Returns the names of our sets. All other sets are foreign.
fn our_names() -> impl Iterator<Item = SetName> {
    let families = AddressFamily::ALL;
    families
        .into_iter()
        .flat_map(|family| SetKind::ALL.map(|kind| kind.name(family)))
}

/// Reads the sets in `names` that exist.
fn read(
    client: &mut Client,
    names: impl Iterator<Item = SetName>,
) -> Result<BTreeMap<SetName, Set>, ObserveError> {
    let mut sets = BTreeMap::new();
    for name in names {
        let set = client.set(&name).map_err(unreadable)?;
        sets.extend(set.map(|set| (name, set)));
    }
    Ok(sets)
}

fn op_error(op: &Op, error: &RequestError) -> OpError {
    let kind = match error.kind() {
        ErrorKind::NoSuchSet => OpErrorKind::NoSuchSet,
        ErrorKind::AlreadyExists => OpErrorKind::AlreadyExists,
        ErrorKind::InUse => OpErrorKind::SetInUse,
        ErrorKind::Full => OpErrorKind::SetFull,
        ErrorKind::NotPermitted => OpErrorKind::NotPermitted,
        ErrorKind::Lost => OpErrorKind::Unknown,
        _ => OpErrorKind::Invalid,
    };
    let errno = match error.failure() {
        Failure::Refused { errno, .. } => Some(Errno(errno.0)),
        _ => None,
    };
    OpError::new(op.clone(), kind, errno.filter(|errno| errno.0 < PRIVATE))
        .with_message(Some(model::chain(error)))
}

/// Error numbers from here on are private to ipset, so no C library has names for them.
const PRIVATE: i32 = 4096;

fn not_open(op: &Op, message: &str, error: &OpenError) -> OpError {
    let kind = match error {
        OpenError::NotPermitted => OpErrorKind::NotPermitted,
        _ => OpErrorKind::Other(Errno(libc::EOPNOTSUPP)),
    };
    OpError::new(op.clone(), kind, None).with_message(Some(message.to_owned()))
}

fn closed(error: OpenError) -> ObserveError {
    match error {
        OpenError::NotPermitted => ObserveError::NotPermitted {
            what: WHAT,
            source: Errno(libc::EPERM),
        },
        error => ObserveError::Failed {
            what: WHAT,
            source: Box::new(error),
        },
    }
}

fn unreadable(error: ReadError) -> ObserveError {
    match error.kind() {
        ErrorKind::NotPermitted => ObserveError::NotPermitted {
            what: WHAT,
            source: Errno(libc::EPERM),
        },
        _ => ObserveError::Failed {
            what: WHAT,
            source: Box::new(error),
        },
    }
}
