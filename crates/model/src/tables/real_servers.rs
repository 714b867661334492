//! The real servers of one virtual server.

use std::ops::Index;

use ipvs::{RealServer, RealServerKey};

/// The real servers of one virtual server, each key once, ordered by key.
///
/// A sorted vector, since most virtual servers have few real servers and a `BTreeMap` allocates
/// room for eleven. The key is stored in the real server alone: a map would store it twice, which
/// is a third of the memory of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealServers(Vec<RealServer>);

impl RealServers {
    /// Creates a list without real servers.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the number of real servers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no real servers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the real server `key`.
    #[must_use]
    pub fn get(&self, key: &RealServerKey) -> Option<&RealServer> {
        self.find(key).ok().map(|at| &self.0[at])
    }

    /// Returns true if there is a real server `key`.
    #[must_use]
    pub fn contains_key(&self, key: &RealServerKey) -> bool {
        self.find(key).is_ok()
    }

    /// Adds `real`, and returns the real server of the same key that it replaces.
    pub fn insert(&mut self, real: RealServer) -> Option<RealServer> {
        match self.find(&real.key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at], real)),
            Err(at) => {
                self.0.insert(at, real);
                None
            }
        }
    }

    /// Removes the real server `key` and returns it.
    pub fn remove(&mut self, key: &RealServerKey) -> Option<RealServer> {
        self.find(key).ok().map(|at| self.0.remove(at))
    }

    /// Returns the keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &RealServerKey> + ExactSizeIterator {
        self.0.iter().map(|real| &real.key)
    }

    /// Returns the real servers, ordered by key.
    pub fn values(&self) -> std::slice::Iter<'_, RealServer> {
        self.0.iter()
    }

    /// Returns the real servers with their keys, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(with_key)
    }

    fn find(&self, key: &RealServerKey) -> Result<usize, usize> {
        self.0.binary_search_by(|real| real.key.cmp(key))
    }
}

/// Iterator over the real servers of [`RealServers`] with their keys.
pub(super) type Iter<'a> = std::iter::Map<
    std::slice::Iter<'a, RealServer>,
    fn(&'a RealServer) -> (&'a RealServerKey, &'a RealServer),
>;

fn with_key(real: &RealServer) -> (&RealServerKey, &RealServer) {
    (&real.key, real)
}

/// Panics if there is no such real server.
impl Index<&RealServerKey> for RealServers {
    type Output = RealServer;

    fn index(&self, key: &RealServerKey) -> &RealServer {
        self.get(key).expect("the real server exists")
    }
}

impl<'a> IntoIterator for &'a RealServers {
    type Item = (&'a RealServerKey, &'a RealServer);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Collects real servers without spare capacity. Of several with one key it keeps the last.
impl FromIterator<RealServer> for RealServers {
    fn from_iter<I: IntoIterator<Item = RealServer>>(real_servers: I) -> Self {
        let mut sorted: Vec<RealServer> = real_servers.into_iter().collect();
        // The sort is stable, and needs one pass over sorted real servers.
        sorted.sort_by_key(|real| real.key);
        sorted.dedup_by(|later, kept| {
            let is_same = later.key == kept.key;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        sorted.shrink_to_fit();
        Self(sorted)
    }
}

#[cfg(test)]
mod tests {
    use ipvs::Forwarding;

    use super::*;

    fn real(last: u8, weight: u32) -> RealServer {
        RealServer {
            key: RealServerKey {
                address: [10, 1, 2, last].into(),
                port: 80,
            },
            forwarding: Forwarding::Masquerade,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }

    #[test]
    fn each_key_is_kept_once_and_in_order() {
        let collected: RealServers = [real(3, 1), real(1, 1), real(3, 2), real(2, 1)]
            .into_iter()
            .collect();
        let expected = [real(1, 1), real(2, 1), real(3, 2)];
        assert!(collected.values().eq(&expected));

        let mut inserted = RealServers::new();
        for number in [3, 1, 2] {
            assert_eq!(inserted.insert(real(number, 1)), None);
        }
        assert_eq!(inserted.insert(real(3, 2)), Some(real(3, 1)));
        assert_eq!(inserted, collected);
        assert!(inserted.keys().copied().eq(expected.map(|real| real.key)));

        let second = expected[1].key;
        assert_eq!(inserted.get(&second), Some(&expected[1]));
        assert_eq!(inserted.remove(&second), Some(expected[1]));
        assert_eq!(inserted.remove(&second), None);
        assert!(!inserted.contains_key(&second));
        assert_eq!(inserted.len(), 2);
    }
}
