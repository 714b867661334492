//! Label and field selectors in the forms that the daemon uses: labels that must be absent
//! (`!a,!b`), and fields that must have or not have a value (`a=1`, `a!=1`).

use crate::object::Object;
use crate::status::ApiError;

#[cfg(test)]
mod tests;

/// Selection of the objects of a list or watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    absent_labels: Vec<String>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Selector {
    /// Parses both parameters. An empty one selects everything.
    ///
    /// # Errors
    /// 400 if a selector has another form.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, ApiError> {
        Ok(Self {
            absent_labels: parse(labels, |term| Some(term.strip_prefix('!')?.to_owned()))?,
            fields: parse(fields, FieldTerm::parse)?,
        })
    }

    /// Returns true if an object is selected.
    #[must_use]
    pub(crate) fn matches(&self, object: &Object) -> bool {
        let labels = &object.value["metadata"]["labels"];
        (self.absent_labels.iter()).all(|key| labels.get(key).is_none())
            && self.fields.iter().all(|term| term.matches(object))
    }
}

impl FieldTerm {
    fn parse(term: &str) -> Option<Self> {
        let (path, value) = term.split_once('=')?;
        let equal = !path.ends_with('!');
        Some(Self {
            path: path
                .trim_end_matches('!')
                .split('.')
                .map(str::to_owned)
                .collect(),
            value: value.to_owned(),
            equal,
        })
    }

    fn matches(&self, object: &Object) -> bool {
        let field = (self.path.iter()).fold(&object.value, |at, step| &at[step.as_str()]);
        (field.as_str().unwrap_or_default() == self.value) == self.equal
    }
}

fn parse<T>(text: &str, term: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ApiError> {
    let terms: Option<_> = (text.split(',').filter(|part| !part.is_empty()).map(term)).collect();
    terms.ok_or_else(|| ApiError::bad_request(format!("unable to parse the selector {text:?}")))
}
