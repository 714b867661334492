//! kube-proxy's flags, made from the table of fields.

use std::collections::BTreeMap;

use clap::builder::ArgAction;
use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::ConfigWarning;
use super::table::{self, EXTRA_FLAGS, Effect, ExtraFlag, FIELDS, FieldInfo, Kind};

/// The heading in a program's help.
const HEADING: &str = "Configuration without a file (kube-proxy's flags)";

/// kube-proxy's flags as they were given: for a program's command line by `#[command(flatten)]`.
///
/// `--hostname-override`, `--kubeconfig` and `--config` are not among them: they win over a file, and
/// belong to the program ([`NodeOverrides`](super::NodeOverrides)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFlags(BTreeMap<&'static str, Vec<String>>);

impl ConfigFlags {
    /// The flag `name`, without its dashes, with `value` besides what was given before.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.entry(name).or_default().push(value.to_owned());
        self
    }

    /// The flags as a file would have them.
    pub(super) fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        for field in fields() {
            if let Some(value) = self.value(field) {
                super::put(&mut document, field.path, value);
            }
        }
        document
    }

    /// The flags that come before a file, with their fields.
    pub(super) fn over_file(&self) -> impl Iterator<Item = (&'static FieldInfo, Value)> {
        let fields = fields().filter(|field| field.flag_over_file());
        fields.filter_map(|field| Some((field, self.value(field)?)))
    }

    /// Returns warnings about the flags themselves; `file` is true if a configuration file decides.
    pub(super) fn warnings(&self, file: bool) -> Vec<ConfigWarning> {
        let warning = |flag: &str, message: &str| ConfigWarning {
            path: format!("--{flag}"),
            message: message.to_owned(),
        };
        let mut warnings = Vec::new();
        let over_file: Vec<_> = self.over_file().map(|(field, _)| field.flag).collect();
        for (field, flag) in fields().filter_map(|field| Some((field, field.flag?))) {
            let last = self.0.get(flag).and_then(|values| values.last());
            if last.is_some_and(|last| is_negative_verbosity(field, last)) {
                warnings.push(warning(flag, "is negative: 0 is used"));
            }
        }
        for (&flag, values) in &self.0 {
            if over_file.contains(&Some(flag)) {
                continue;
            }
            let extra = EXTRA_FLAGS.iter().find(|extra| extra.flag == flag);
            match extra.map(|extra| (extra.effect, extra.about)) {
                Some((Effect::Nothing, _)) => {
                    let quiet = |extra: &ExtraFlag| {
                        values
                            .last()
                            .is_none_or(|value| extra.asks_for_nothing(value))
                    };
                    if !extra.is_some_and(quiet) {
                        warnings.push(warning(flag, "has no effect"));
                    }
                }
                Some((_, None)) => warnings.push(warning(flag, "has no effect yet")),
                _ if file => {
                    warnings.push(warning(flag, "is ignored: the configuration file decides"));
                }
                Some((_, Some(about))) => {
                    let instead = table::field(about).and_then(|field| field.flag);
                    let instead = instead.unwrap_or_default();
                    warnings.push(warning(flag, &format!("is deprecated, use --{instead}")));
                }
                None => {}
            }
        }
        warnings
    }

    fn value(&self, field: &FieldInfo) -> Option<Value> {
        let texts = field.flag.and_then(|flag| self.0.get(flag));
        if let Kind::AddressPort(_) = field.kind {
            return self.address(field, texts.and_then(|texts| texts.last()));
        }
        let texts = texts?;
        let last = texts.last()?;
        let parts = || texts.iter().flat_map(|text| text.split(','));
        let parts = || parts().filter(|part| !part.is_empty());
        let text = || Value::String(last.clone());
        if is_negative_verbosity(field, last) {
            return Some(Value::from(0));
        }
        Some(match field.kind {
            Kind::Networks | Kind::NodePorts | Kind::Words(_) => parts().collect(),
            Kind::Gates => Value::Object(parts().map(gate).collect()),
            Kind::Bool => parse_boolean(last).map_or_else(text, Value::Bool),
            Kind::Whole(..) | Kind::Number => {
                serde_json::from_str(last).map_or_else(|_| text(), Value::Number)
            }
            _ => text(),
        })
    }

    /// An address with the port of the deprecated flag; none at all for an empty text or port 0
    /// (`addressFromDeprecatedFlags`).
    fn address(&self, field: &FieldInfo, text: Option<&String>) -> Option<Value> {
        let old = EXTRA_FLAGS
            .iter()
            .find(|extra| extra.about == Some(field.path));
        let port = old.and_then(|old| self.0.get(old.flag)?.last());
        let text = match (text.map(String::as_str), port.map(String::as_str)) {
            (None, None) => return None,
            (Some(""), _) | (_, Some("0")) => "0".to_owned(),
            (Some(text), None) => text.to_owned(),
            // With the default address it is the default port that counts, as in kube-proxy.
            (None, Some(_)) => return None,
            (Some(text), Some(port)) => match text.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
                Ok(address) => format!("{address}:{port}"),
                Err(_) => text.to_owned(),
            },
        };
        Some(Value::String(text))
    }
}

/// The fields whose flags are here.
fn fields() -> impl Iterator<Item = &'static FieldInfo> {
    (FIELDS.iter()).filter(|field| field.flag.is_some() && !field.flag_wins())
}

/// Returns true for a verbosity below 0, which asks for fewer lines than there are levels for.
fn is_negative_verbosity(field: &FieldInfo, text: &str) -> bool {
    field.path == "logging.verbosity" && text.parse::<i32>().is_ok_and(|number| number < 0)
}

/// `Name=true`.
fn gate(part: &str) -> (String, Value) {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    let text = || Value::String(value.to_owned());
    let value = parse_boolean(value).map_or_else(text, Value::Bool);
    (name.trim().to_owned(), value)
}

/// Parses a boolean as Go's `strconv.ParseBool` does.
#[must_use]
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        let fields = fields().filter_map(|field| Some((field.flag?, field)));
        let command = command.args(fields.map(|(flag, field)| argument(flag, field)));
        command.args(EXTRA_FLAGS.iter().map(|extra| {
            let argument = named(extra.flag, extra.kind);
            argument.help(extra.meaning).hide(true)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(flag: &'static str, field: &'static FieldInfo) -> Arg {
    named(flag, field.kind)
        .value_name(value_name(field.kind))
        .help(help(field))
        .hide(field.effect == Effect::Nothing)
}

fn named(flag: &'static str, kind: Kind) -> Arg {
    let argument = Arg::new(flag)
        .long(flag)
        .action(ArgAction::Append)
        .help_heading(HEADING)
        .allow_negative_numbers(true);
    match kind {
        Kind::Bool => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ => argument,
    }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Scheduler | Kind::Interface | Kind::Any => "TEXT",
        Kind::Bool => "BOOL",
        Kind::Whole(..) | Kind::Number => "NUMBER",
        Kind::Duration | Kind::KernelSeconds => "DURATION",
        Kind::Address => "ADDRESS",
        Kind::AddressPort(_) => "ADDRESS:PORT",
        Kind::Networks | Kind::NodePorts | Kind::NetworkPair => "CIDR,…",
        Kind::Choice(_) => "WORD",
        Kind::Words(_) => "WORD,…",
        Kind::Ports => "PORT,…",
        Kind::Gates => "NAME=BOOL,…",
    }
}

/// The meaning as plain text.
fn help(field: &FieldInfo) -> String {
    let meaning = field.meaning.trim_end_matches('.').replace('`', "");
    let help = match field.default {
        "" | "[]" | "false" => meaning,
        default => format!("{meaning} [default: {default}]"),
    };
    match field.effect {
        Effect::Later => format!("{help} (no effect yet)"),
        Effect::Acts | Effect::Nothing => help,
    }
}

impl FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        let names = fields().filter_map(|field| field.flag);
        for name in names.chain(EXTRA_FLAGS.iter().map(|extra| extra.flag)) {
            if let Some(values) = matches.get_many::<String>(name) {
                flags.0.insert(name, values.cloned().collect());
            }
        }
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}
