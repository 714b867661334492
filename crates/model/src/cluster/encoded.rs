//! Objects encoded as bytes, which saves memory. Tens of thousands of objects stay in memory, and
//! each is needed only when it changes or when its Service is compiled
//! (docs/adr/0016-objects-as-bytes.md).

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object as bytes. Equal objects have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Encoded<T> {
    pub(super) fn new(object: &T) -> Self {
        // Writing to memory cannot fail, and every value of these types can be serialized.
        let bytes = postcard::to_allocvec(object).expect("the object serializes");
        Self {
            bytes: bytes.into(),
            of: PhantomData,
        }
    }

    /// Returns the number of bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn unpack(&self) -> T {
        postcard::from_bytes(&self.bytes).expect("the bytes were written by `new`")
    }
}

/// Serializes a time as the duration since 1970. Serde's format of `SystemTime` has no earlier
/// time; an earlier time is dropped, since no change in a cluster has one.
pub(super) mod since_1970 {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let passed = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        passed.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let passed = Option::<Duration>::deserialize(deserializer)?;
        Ok(passed.and_then(|passed| UNIX_EPOCH.checked_add(passed)))
    }
}
