//! Finds the place of a value in a text.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::{Place, options};

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Step into a mapping.
    Key(String),
    /// Step into a sequence.
    Index(usize),
}

/// Returns the steps of a path, as far as they are known.
pub(crate) fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    path.iter()
        .map_while(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Finds the value at `path` in a text of one document. If the path does not exist, returns its
/// last existing value. Returns `None` if the text cannot be read.
pub(crate) fn locate(text: &str, path: &[Step]) -> Option<Place> {
    (0..=path.len()).rev().find_map(|length| {
        let seed = Locate(&path[..length]);
        let found = serde_saphyr::with_deserializer_from_str_with_options(
            text,
            options(),
            |deserializer| seed.deserialize(deserializer),
        );
        found.ok().flatten()
    })
}

#[derive(Clone, Copy)]
struct Locate<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = Option<Place>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0.first() {
            None => {
                let found = Spanned::<IgnoredAny>::deserialize(deserializer)?;
                Ok((found.referenced.line() > 0).then(|| Place {
                    line: found.referenced.line(),
                    column: found.referenced.column(),
                }))
            }
            Some(Step::Key(_)) => deserializer.deserialize_map(self),
            Some(Step::Index(_)) => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = Option<Place>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a sequence")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Step::Key(wanted), rest @ ..] if *wanted == key => {
                    found = map.next_value_seed(Locate(rest))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let [Step::Index(wanted), rest @ ..] = self.0 else {
            return Err(de::Error::custom("a mapping was expected"));
        };
        for _ in 0..*wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = seq.next_element_seed(Locate(rest))?.flatten();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}
