//! Replaces sets.

use netlink::Transport;

use super::error::{ErrorKind, RequestError};
use super::{Client, Request};
use crate::types::{Set, SetName};

impl<T: Transport> Client<T> {
    /// Fills a temporary set and swaps it with the one named `name`. Rules that use the set match
    /// either all old entries or all new ones.
    ///
    /// The kernel does not swap sets of different types (`ip_set_swap`,
    /// net/netfilter/ipset/ip_set_core.c, Linux 6.1). In that case the old set is destroyed first,
    /// which the kernel refuses while a rule uses it.
    pub(super) fn replace(&mut self, name: &SetName, set: &Set) -> Result<(), RequestError> {
        let temporary = temporary_name(name);
        // A killed process may have left a temporary set.
        let _ = self.single(Request::Destroy(temporary.clone()));
        self.create(&temporary, set.header, set.entries.len())
            .map_err(|failure| {
                RequestError::new(Request::Replace(name.clone(), set.clone()), failure)
            })?;
        let replaced = self
            .fill(&temporary, set)
            .and_then(|()| self.swap_in(&temporary, name));
        let _ = self.single(Request::Destroy(temporary));
        replaced
    }

    fn fill(&mut self, name: &SetName, set: &Set) -> Result<(), RequestError> {
        let adds: Vec<Request> = (set.entries.iter())
            .map(|entry| Request::Add(name.clone(), *entry))
            .collect();
        self.execute(&adds).into_iter().collect()
    }

    fn swap_in(&mut self, new: &SetName, name: &SetName) -> Result<(), RequestError> {
        match self.single(Request::Swap(new.clone(), name.clone())) {
            Err(error) if error.kind() == ErrorKind::NoSuchSet => {}
            Err(error) if error.kind() == ErrorKind::TypeMismatch => {
                self.single(Request::Destroy(name.clone()))?;
            }
            outcome => return outcome,
        }
        self.single(Request::Rename(new.clone(), name.clone()))
    }

    /// Destroys temporary sets that a killed process left behind during a [`Request::Replace`] of
    /// the sets `names`. A later [`Request::Replace`] of the same set does so too.
    ///
    /// Returns the errors of sets that could not be destroyed. A temporary set that does not exist
    /// is not an error.
    pub fn destroy_leftovers<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a SetName>,
    ) -> Vec<RequestError> {
        let destroys: Vec<Request> = (names.into_iter())
            .map(|name| Request::Destroy(temporary_name(name)))
            .collect();
        let outcomes = self.execute(&destroys).into_iter();
        outcomes.filter_map(Result::err).collect()
    }
}

/// Returns the name of the temporary set that replaces `name`; it differs from `name`.
pub(super) fn temporary_name(name: &SetName) -> SetName {
    let mark = if name.as_str().starts_with('~') {
        '_'
    } else {
        '~'
    };
    SetName::cut(&format!("{mark}{name}"))
}
