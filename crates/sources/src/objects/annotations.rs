//! Annotations of objects.

use std::fmt;

use model::policy::{Annotation, PREFIX};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Time of the change that caused a version of a slice (`EndpointsLastChangeTriggerTime`,
/// staging/src/k8s.io/api/core/v1/annotation_key_constants.go, Kubernetes 1.34).
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Present in the bookmark that ends a streamed list (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Annotations that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Policy of a Service, by name; at most [`Annotation::MAX`].
    pub policy: Vec<Annotation>,
    /// Time of the change that caused this version of a slice.
    pub trigger_time: Option<String>,
    /// True in the bookmark that ends a streamed list.
    pub initial_events_end: bool,
}

/// A name, of which only those that are read are copied.
enum Key {
    Policy(String),
    TriggerTime,
    InitialEventsEnd,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an annotation")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                Ok(match key.strip_prefix(PREFIX) {
                    Some(name) => Key::Policy(name.to_owned()),
                    None if key == TRIGGER_TIME => Key::TriggerTime,
                    None if key == INITIAL_EVENTS_END => Key::InitialEventsEnd,
                    None => Key::Other,
                })
            }
        }

        given.deserialize_identifier(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;

        impl<'de> Visitor<'de> for AnnotationsVisitor {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Annotations, A::Error> {
                let mut read = Annotations::default();
                while let Some(key) = given.next_key()? {
                    match key {
                        Key::Policy(name) => {
                            let value: Option<String> = given.next_value()?;
                            if read.policy.len() < Annotation::MAX {
                                let value = value.unwrap_or_default();
                                read.policy.push(Annotation::new(&name, &value));
                            }
                        }
                        Key::TriggerTime => read.trigger_time = given.next_value()?,
                        Key::InitialEventsEnd => {
                            let value: Option<IgnoredAny> = given.next_value()?;
                            read.initial_events_end = value.is_some();
                        }
                        Key::Other => {
                            given.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                read.policy.sort();
                Ok(read)
            }
        }

        given.deserialize_map(AnnotationsVisitor)
    }
}
