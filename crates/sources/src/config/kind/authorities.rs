//! Certificate authorities.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::Name;
use model::policy::is_authority_name;
use serde_json::Value;

use super::{Kind, Syntax, form, item_text, must_be};

/// Names of authorities, each with the absolute path of a file.
pub(crate) const AUTHORITIES: Kind<BTreeMap<Name, PathBuf>> = Kind {
    form: || form("names, each with the path of a file", "JSON", Syntax::Text),
    read: |given, reading| {
        let items = given.as_object().ok_or_else(|| must_be("a mapping", given));
        let items = reading.keep("", items)?.iter();
        let items = items.filter_map(|(name, path)| {
            let item = authority(name, path);
            reading.keep(format!(".{name}"), item)
        });
        Some(items.collect())
    },
    write: |authorities| {
        let items = authorities.iter();
        let items = items.map(|(name, path)| (name.to_string(), path.display().to_string()));
        items
            .map(|(name, path)| (name, Value::from(path)))
            .collect()
    },
};

fn authority(name: &str, path: &Value) -> Result<(Name, PathBuf), String> {
    if !is_authority_name(name) {
        return Err("is no name of at most 63 letters, digits, -, _ and . except none".to_owned());
    }
    let text = item_text(path)?;
    let path = PathBuf::from(text);
    match path.is_absolute() {
        true => Ok((name.into(), path)),
        false => Err(format!("{text:?} is no absolute path")),
    }
}
