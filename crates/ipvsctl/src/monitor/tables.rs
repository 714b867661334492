//! Reads a node's tables again and again at a small cost.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Bound;

use ipvs::VirtualServerKey;
use model::kernel::{Kernel, ObserveError};
use model::{Scope, Selection, Snapshot};

use super::changes::{TableChange, between};

/// Number of virtual servers whose real servers are read at once. Each costs a request.
pub const SLICE: usize = 1024;

/// The tables of a node as they were last read.
///
/// A reading lists everything except real servers. Of these it reads those of a slice of the
/// virtual servers, of new and changed ones, and of those that a hint names. A table of up to
/// [`SLICE`] virtual servers is read completely.
#[derive(Clone, Debug)]
pub struct Tables {
    last: Snapshot,
    /// Last virtual server of the last slice; `None` before the first slice of a round.
    place: Option<VirtualServerKey>,
    /// Virtual servers that hints name, until they are read.
    hints: BTreeSet<VirtualServerKey>,
}

impl Tables {
    /// Begins with a reading of everything.
    #[must_use]
    pub fn new(mut last: Snapshot) -> Self {
        last.connections.clear();
        Self {
            last,
            place: None,
            hints: BTreeSet::new(),
        }
    }

    /// Returns the number of virtual servers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.last.tables.virtual_servers.len()
    }

    /// Returns true if there are no virtual servers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the real servers of `key` with the next reading.
    pub fn hint(&mut self, key: VirtualServerKey) {
        self.hints.insert(key);
    }

    /// Reads, and returns what changed since the last reading; `None` if a table changed during the
    /// reading. The next reading has these changes, and those of a reading that failed.
    ///
    /// # Errors
    ///
    /// The kernel cannot be read.
    pub fn read(
        &mut self,
        kernel: &mut dyn Kernel,
    ) -> Result<Option<Vec<TableChange>>, ObserveError> {
        let mut after = self.last.clone();
        let mut place = None;
        if self.len() <= SLICE {
            if !add(&mut after, kernel, &Scope::EVERYTHING)?.is_complete {
                return Ok(None);
            }
        } else {
            let list = Scope {
                virtual_servers: Selection::WithoutRealServers,
                ..Scope::EVERYTHING
            };
            let listed = add(&mut after, kernel, &list)?;
            let (slice, last) = self.slice();
            place = last;
            let keys: BTreeSet<_> = (listed.unlike.into_iter())
                .chain(slice)
                .chain(self.hints.iter().copied())
                .collect();
            let with_real_servers = Scope {
                virtual_servers: Selection::Only(keys),
                ..Scope::NOTHING
            };
            let read = add(&mut after, kernel, &with_real_servers)?;
            if !(listed.is_complete && read.is_complete) {
                return Ok(None);
            }
        }
        let changes = between(&self.last, &after);
        *self = Self {
            place,
            ..Self::new(after)
        };
        Ok(Some(changes))
    }

    /// Returns the next slice and its last virtual server; `None` at the end of a round.
    fn slice(&self) -> (Vec<VirtualServerKey>, Option<VirtualServerKey>) {
        let start = self.place.map_or(Bound::Unbounded, Bound::Excluded);
        let servers = (self.last.tables.virtual_servers).range((start, Bound::Unbounded));
        let slice: Vec<_> = servers.map(|(key, _)| *key).take(SLICE).collect();
        let last = slice.last().copied().filter(|_| slice.len() == SLICE);
        (slice, last)
    }
}

/// Result of reading a part.
struct Read {
    /// False if a table changed during the reading.
    is_complete: bool,
    /// Listed virtual servers that are new or have other settings.
    unlike: BTreeSet<VirtualServerKey>,
}

/// Reads `scope`, and replaces the parts of `snapshot` by it.
fn add(
    snapshot: &mut Snapshot,
    kernel: &mut dyn Kernel,
    scope: &Scope,
) -> Result<Read, ObserveError> {
    let read = kernel.observe(scope)?;
    let found = Read {
        is_complete: !read.torn,
        unlike: snapshot.unlike(&read),
    };
    snapshot.update(scope, read);
    Ok(found)
}
