//! Reads sets.

use std::collections::{BTreeMap, BTreeSet};

use netlink::{DumpError, Transport};
use netlink_packet_core::DecodeError;

use super::Client;
use super::error::ReadError;
use crate::codec::convert::{entries_of, header_of, set_name_of};
use crate::codec::{Attribute, Command, LIST_HEADERS, LIST_NAMES, Message};
use crate::types::{Header, Set, SetName};

impl<T: Transport> Client<T> {
    /// Returns every set with its entries, by name.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn list(&mut self) -> Result<BTreeMap<SetName, Set>, ReadError> {
        self.read(None, None)
            .map_err(|source| ReadError::new("sets", source))
    }

    /// Returns the set `name` with its entries, or `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// The set could not be read.
    pub fn set(&mut self, name: &SetName) -> Result<Option<Set>, ReadError> {
        match self.read(Some(name), None) {
            Ok(mut sets) => Ok(sets.remove(name)),
            Err(DumpError::Refused { errno, .. }) if errno.0 == libc::ENOENT => Ok(None),
            Err(source) => Err(ReadError::new(format!("set {name}"), source)),
        }
    }

    /// Returns the header of every set, by name. Entries are not read, so that the time does not
    /// depend on their number.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn headers(&mut self) -> Result<BTreeMap<SetName, Header>, ReadError> {
        let sets = self
            .read(None, Some(LIST_HEADERS))
            .map_err(|source| ReadError::new("headers of sets", source))?;
        Ok(sets
            .into_iter()
            .map(|(name, set)| (name, set.header))
            .collect())
    }

    /// Returns the names of all sets.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn names(&mut self) -> Result<BTreeSet<SetName>, ReadError> {
        let mut names = BTreeSet::new();
        self.dump(None, Some(LIST_NAMES), |message| {
            names.extend(set_name_of(message));
        })
        .map_err(|source| ReadError::new("names of sets", source))?;
        Ok(names)
    }

    fn read(
        &mut self,
        name: Option<&SetName>,
        flags: Option<u32>,
    ) -> Result<BTreeMap<SetName, Set>, DumpError> {
        let mut sets = BTreeMap::new();
        self.dump(name, flags, |message| {
            if let Some(name) = set_name_of(message) {
                absorb(&mut sets, &name, message);
            }
        })?;
        Ok(sets)
    }

    fn dump(
        &mut self,
        name: Option<&SetName>,
        flags: Option<u32>,
        mut each: impl FnMut(&Message),
    ) -> Result<(), DumpError> {
        let mut attributes = vec![Attribute::Protocol(self.protocol)];
        attributes.extend(name.map(|name| Attribute::SetName(name.to_string())));
        attributes.extend(flags.map(Attribute::Flags));
        let request = Message::new(Command::List, attributes);
        // The integrity is ignored: the kernel never marks a list of sets as interrupted. It keeps
        // each set alive while the set is read (`ref_netlink`), but other programs may add and
        // delete entries.
        let _integrity = self.connection.dump(&request, |payload| {
            each(&Message::decode(Command::List, payload)?);
            Ok::<(), DecodeError>(())
        })?;
        Ok(())
    }
}

/// Adds the contents of a message to the set `name`. A set with many entries has several messages;
/// only the first one has the header.
fn absorb(sets: &mut BTreeMap<SetName, Set>, name: &SetName, message: &Message) {
    if let Some(header) = header_of(message) {
        let entries = BTreeSet::new();
        sets.insert(name.clone(), Set { header, entries });
    }
    let Some(set) = sets.get_mut(name) else {
        return;
    };
    match entries_of(message, set.header) {
        Some(entries) => set.entries.extend(entries),
        None => {
            set.header = Header::Unsupported;
            set.entries.clear();
        }
    }
}
