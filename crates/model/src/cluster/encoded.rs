//! Objects in as little room as they need: as bytes. Tens of thousands of them stay for as long as the process does, and one is looked at
//! when it changes, or what it needs on the node does (docs/adr/0016-objects-as-bytes.md).

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object as bytes. Equal objects are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Encoded<T> {
    pub(super) fn new(object: &T) -> Self {
        // Writing to memory cannot fail, and all values of our types have a form.
        let bytes = postcard::to_allocvec(object).expect("an object has a form in bytes");
        Self {
            bytes: bytes.into(),
            of: PhantomData,
        }
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn unpack(&self) -> T {
        postcard::from_bytes(&self.bytes).expect("the bytes are those of an object")
    }
}

/// A time as what has passed since 1970. The wire format of `SystemTime` has no time before that, and none such is the time of a change
/// in a cluster: it is dropped.
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
