//! One set in the place of another.

use netlink::Transport;

use super::error::{ErrorKind, RequestError};
use super::{Client, Request};
use crate::types::{Set, SetName};

impl<T: Transport> Client<T> {
    /// Fills a set of another name, then exchanges the two: rules that look into it go on, and find all
    /// of the old or all of the new. Two of different types cannot be exchanged
    /// (`ip_set_swap`, net/netfilter/ipset/ip_set_core.c, Linux 6.1): then the old one is destroyed first,
    /// which the kernel refuses while a rule looks into it.
    pub(super) fn replace(&mut self, name: &SetName, set: &Set) -> Result<(), RequestError> {
        let temporary = temporary_name(name);
        // Left by a process that was killed.
        let _ = self.single(Request::Destroy(temporary.clone()));
        self.create(&temporary, set.header, set.entries.len())
            .map_err(|failure| {
                RequestError::new(Request::Replace(name.clone(), set.clone()), failure)
            })?;
        let replaced = self
            .fill(&temporary, set)
            .and_then(|()| self.take_place(&temporary, name));
        let _ = self.single(Request::Destroy(temporary));
        replaced
    }

    fn fill(&mut self, name: &SetName, set: &Set) -> Result<(), RequestError> {
        let adds: Vec<Request> = (set.entries.iter())
            .map(|entry| Request::Add(name.clone(), *entry))
            .collect();
        self.execute(&adds).into_iter().collect()
    }

    fn take_place(&mut self, new: &SetName, name: &SetName) -> Result<(), RequestError> {
        match self.single(Request::Swap(new.clone(), name.clone())) {
            Err(error) if error.kind() == ErrorKind::NoSuchSet => {}
            Err(error) if error.kind() == ErrorKind::TypeMismatch => {
                self.single(Request::Destroy(name.clone()))?;
            }
            outcome => return outcome,
        }
        self.single(Request::Rename(new.clone(), name.clone()))
    }

    /// Destroys what [`Request::Replace`] of the sets `names` left behind where its process was killed: sets
    /// that are theirs, under another name. A later [`Request::Replace`] of the same set does so too.
    ///
    /// Returns what could not be destroyed, and why; that there is nothing to destroy is no error.
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

/// The name under which a set is filled that is to take the place of `name`: never `name` itself.
pub(super) fn temporary_name(name: &SetName) -> SetName {
    let mark = if name.as_str().starts_with('~') {
        '_'
    } else {
        '~'
    };
    SetName::cut(&format!("{mark}{name}"))
}
