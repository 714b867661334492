//! Kernel settings as `sysctl` prints them.

use std::collections::BTreeMap;

use super::TextError;
use crate::names::Name;

pub(super) fn print(settings: &BTreeMap<Name, Name>) -> Vec<String> {
    let lines = settings.iter();
    lines
        .map(|(name, value)| format!("{name} = {value}").trim_end().to_owned())
        .collect()
}

pub(super) fn parse(lines: &[(usize, &str)]) -> Result<BTreeMap<Name, Name>, TextError> {
    let mut settings = BTreeMap::new();
    for (line, text) in lines {
        let wrong = |problem| TextError {
            line: *line,
            problem,
        };
        let (name, value) = (text.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| wrong(format!("`{text}` is not a setting such as a.b = 1")))?;
        if settings.insert(name.into(), value.into()).is_some() {
            return Err(wrong(format!("setting {name} is listed twice")));
        }
    }
    Ok(settings)
}
