//! Names, labels, annotations.

use super::words;
use crate::resource::{Api, Resource};
use crate::status::FieldError;
use serde_json::Value;
use std::hash::{BuildHasher, RandomState};

/// Checks an object's metadata (`ValidateObjectMeta` and each kind's name rule).
pub(crate) fn admit_metadata(api: &Api, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        let wrong = match api.resource {
            Resource::Services => words::not_label_1035(name),
            Resource::Namespaces => words::not_label(name),
            _ => words::not_subdomain(name),
        };
        if let Some(why) = wrong {
            errors.push(FieldError::invalid("metadata.name", name, why));
        }
    }
    words::check_labels(&metadata["labels"], "metadata.labels", &mut errors);
    for key in metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k)
    {
        if let Some(why) = words::not_qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid(
                "metadata.annotations",
                key.as_str(),
                why,
            ));
        }
    }
    errors
}

/// The five characters that follow a `generateName`.
pub(crate) fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = RandomState::new().hash_one(0_u8);
    (0..5)
        .map(|_| {
            let letter = LETTERS[(rest % LETTERS.len() as u64) as usize];
            rest /= LETTERS.len() as u64;
            char::from(letter)
        })
        .collect()
}
