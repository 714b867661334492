//! Kinds of values: how a file and a flag write them, and their types in the program.

mod authorities;
mod list;
mod policies;
mod scalar;
mod text;

use serde_json::Value;

pub(super) use self::authorities::AUTHORITIES;
pub(super) use self::list::{NETWORKS, NODE_PORTS, PORTS, item_text, read_list};
pub(crate) use self::policies::as_given;
pub(super) use self::policies::{POLICY_FIELDS, POLICY_RULES};
pub(super) use self::scalar::{
    ANY, BOOL, DURATION, KERNEL_SECONDS, NUMBER, SYNC_LENGTH, TCP_TIMEOUT, VERBOSITY, at_least,
    gates, whole,
};
pub(super) use self::text::{
    ADDRESS, INTERFACE, MULTICAST, NETWORK_PAIR, SCHEDULER, TEXT, Words, address_port, choice,
    one_of, word_list, words,
};
use super::parse_boolean;

/// A kind of value, of the type `T` in the program.
pub(super) struct Kind<T: 'static> {
    /// Describes the values.
    pub(super) form: fn() -> Form,
    /// Reads a value. `None` if it is empty, or if the reading holds the reason.
    pub(super) read: fn(&Value, &mut Reading) -> Option<T>,
    /// Writes a value as a file holds it.
    pub(super) write: fn(&T) -> Value,
}

/// Description of values.
pub(super) struct Form {
    /// Text in the reference.
    pub(super) text: String,
    /// Name of a flag's value in the help.
    pub(super) value_name: &'static str,
    /// Syntax of a flag's value.
    pub(super) syntax: Syntax,
}

pub(super) fn form(text: impl Into<String>, value_name: &'static str, syntax: Syntax) -> Form {
    let text = text.into();
    Form {
        text,
        value_name,
        syntax,
    }
}

/// Syntax of a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// The last value counts.
    Text,
    /// The last value counts; a flag without a value is `true`.
    Bool,
    /// The last value counts, and is a number.
    Number,
    /// `a,b`; all values count.
    List,
    /// `a=true,b=false`; all values count.
    Gates,
}

impl Syntax {
    /// Converts the values of a flag to the value of a file. A text that does not fit stays a text.
    pub(super) fn convert(self, texts: &[String]) -> Value {
        let last = texts.last().map_or("", String::as_str);
        let items = texts.iter().flat_map(|text| text.split(','));
        let items = items.filter(|item| !item.is_empty());
        match self {
            Self::Text => last.into(),
            Self::Bool => boolean(last),
            Self::Number => serde_json::from_str(last).map_or_else(|_| last.into(), Value::Number),
            Self::List => items.collect(),
            Self::Gates => items
                .map(|item| item.split_once('=').unwrap_or((item, "")))
                .map(|(name, value)| (name.trim().to_owned(), boolean(value)))
                .collect(),
        }
    }
}

fn boolean(text: &str) -> Value {
    parse_boolean(text).map_or_else(|| text.into(), Value::Bool)
}

/// A problem of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Place within the value: empty, `[0]` or `.Name`.
    pub(super) inner: String,
    /// Text that follows the field's path.
    pub(super) message: String,
    /// True if kube-proxy accepts the value silently.
    pub(super) harmless: bool,
}

/// One reading of a value.
#[derive(Debug)]
pub(super) struct Reading {
    /// True if the value is that of a flag.
    pub(super) by_flag: bool,
    /// Problems of the value.
    pub(super) problems: Vec<Problem>,
}

impl Reading {
    /// Returns the value of a result, or adds its message for the place `inner`.
    fn keep<T>(&mut self, inner: impl Into<String>, result: Result<T, String>) -> Option<T> {
        let add = |message| self.add(inner.into(), message, false);
        result.map_err(add).ok()
    }

    /// Adds a message about a value that kube-proxy accepts silently.
    fn note(&mut self, inner: impl Into<String>, message: String) {
        self.add(inner.into(), message, true);
    }

    fn add(&mut self, inner: String, message: String, harmless: bool) {
        self.problems.push(Problem {
            inner,
            message,
            harmless,
        });
    }
}

fn must_be(what: &str, given: &Value) -> String {
    format!("must be {what}, not {}", describe(given))
}

/// Describes a value in a message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        value => value.to_string(),
    }
}
