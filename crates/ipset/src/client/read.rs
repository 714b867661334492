//! Reading sets.

use std::collections::{BTreeMap, BTreeSet};

use netlink::{DumpError, Transport};
use netlink_packet_core::DecodeError;

use super::Client;
use super::error::ReadError;
use crate::codec::convert::{entries_of, header_of, set_name_of};
use crate::codec::{Attribute, Command, LIST_HEADERS, LIST_NAMES, Message};
use crate::types::{Header, Set, SetName};

impl<T: Transport> Client<T> {
    /// Every set, by name, with its entries.
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn list(&mut self) -> Result<BTreeMap<SetName, Set>, ReadError> {
        self.read(None, None)
            .map_err(|source| ReadError::new("sets", source))
    }

    /// The set `name` with its entries, none where there is none.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub fn set(&mut self, name: &SetName) -> Result<Option<Set>, ReadError> {
        match self.read(Some(name), None) {
            Ok(mut sets) => Ok(sets.remove(name)),
            Err(DumpError::Refused { errno, .. }) if errno.0 == libc::ENOENT => Ok(None),
            Err(source) => Err(ReadError::new(format!("set {name}"), source)),
        }
    }

    /// Returns the header of every set, by name. Its entries stay where they are: reading headers takes the same time however
    /// much the sets hold.
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn headers(&mut self) -> Result<BTreeMap<SetName, Header>, ReadError> {
        let sets = self
            .read(None, Some(LIST_HEADERS))
            .map_err(|source| ReadError::new("headers of sets", source))?;
        Ok(sets
            .into_iter()
            .map(|(name, set)| (name, set.header))
            .collect())
    }

    /// The names of all sets.
    ///
    /// # Errors
    ///
    /// The list is not complete.
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
        // The kernel never calls a list of sets torn. Each set is kept as it is while it is read
        // (`ref_netlink`), but for entries that others add and delete.
        let _integrity = self.connection.dump(&request, |payload| {
            each(&Message::decode(Command::List, payload)?);
            Ok::<(), DecodeError>(())
        })?;
        Ok(())
    }
}

/// Adds what a message says about the set `name`. A set of many entries comes in many messages, of which
/// the first alone has its header.
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
