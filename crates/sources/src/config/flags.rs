//! kube-proxy's flags, made from the table of fields.

use std::collections::BTreeMap;

use clap::builder::ArgAction;
use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use serde_json::Value;

use super::field::Precedence;
use super::kind::Syntax;
use super::table::{self, EXTRA_FLAGS, Effect, FIELDS, Field};
use super::{ConfigProblem, Origin};

/// Heading of the flags in a program's help.
const HEADING: &str = "Configuration without a file (kube-proxy's flags)";

/// kube-proxy's flags as they were given: for a program's command line by `#[command(flatten)]`.
///
/// `--hostname-override`, `--kubeconfig` and `--config` are not among them: they win over a file, and
/// belong to the program ([`NodeOverrides`](super::NodeOverrides)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFlags(BTreeMap<&'static str, Vec<String>>);

impl ConfigFlags {
    /// Adds a value of the flag `name`, without its dashes.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.entry(name).or_default().push(value.to_owned());
        self
    }

    /// Returns the values in force, in the form of a file. If there is a file, these are only the
    /// values of flags that override it.
    pub(super) fn values(
        &self,
        has_file: bool,
    ) -> impl Iterator<Item = (&'static Field, Value, Origin)> {
        fields().filter_map(move |(flag, field)| {
            let origin = match (has_file, field.precedence) {
                (true, Precedence::AboveFile) => Origin::Override(flag),
                (true, _) => return None,
                (false, _) => Origin::Flag(flag),
            };
            Some((field, self.value(flag, field, has_file)?, origin))
        })
    }

    /// Returns warnings about the flags themselves. `has_file` is true if there is a configuration
    /// file.
    pub(super) fn warnings(&self, has_file: bool) -> Vec<ConfigProblem> {
        let warning = |(flag, texts): (&&str, &Vec<String>)| {
            let extra = EXTRA_FLAGS.iter().find(|extra| extra.flag == *flag);
            let path = format!("--{flag}");
            let message = match extra.map(|extra| (extra, extra.effect, extra.about)) {
                Some((extra, Effect::Nothing, _)) if extra.asks_for_nothing(texts) => return None,
                Some((_, Effect::Nothing, _)) => "has no effect".to_owned(),
                Some((_, _, None)) => "has no effect yet".to_owned(),
                _ if has_file && !wins_over_file(flag) => {
                    "is ignored: the configuration file decides".to_owned()
                }
                Some((_, _, Some(about))) => {
                    let instead = table::field(about).and_then(|field| field.flag);
                    format!("is deprecated, use --{}", instead.unwrap_or_default())
                }
                None => return None,
            };
            Some(ConfigProblem { path, message })
        };
        self.0.iter().filter_map(warning).collect()
    }

    fn value(&self, flag: &str, field: &Field, has_file: bool) -> Option<Value> {
        let texts = self.0.get(flag);
        let port = EXTRA_FLAGS
            .iter()
            .find(|extra| extra.about == Some(field.path));
        match port {
            Some(port) => {
                // The flags of ports are ignored beside a file.
                let ports = self.0.get(port.flag).filter(|_| !has_file);
                let port = ports.and_then(|ports| ports.last());
                address(texts.and_then(|texts| texts.last()), port)
            }
            None => Some(field.place.form().syntax.convert(texts?)),
        }
    }
}

/// Returns an address with the port of the deprecated flag; none at all for an empty text or port 0
/// (`addressFromDeprecatedFlags`).
fn address(text: Option<&String>, port: Option<&String>) -> Option<Value> {
    let text = match (text.map(String::as_str), port.map(String::as_str)) {
        (Some(""), _) | (_, Some("0")) => "0".to_owned(),
        (Some(text), None) => text.to_owned(),
        // kube-proxy uses the default port with the default address.
        (None, _) => return None,
        (Some(text), Some(port)) => match text.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
            Ok(address) => format!("{address}:{port}"),
            Err(_) => text.to_owned(),
        },
    };
    Some(Value::String(text))
}

fn wins_over_file(flag: &str) -> bool {
    let mut fields = fields();
    fields.any(|(name, field)| name == flag && field.precedence == Precedence::AboveFile)
}

/// Returns the fields whose flags are here.
fn fields() -> impl Iterator<Item = (&'static str, &'static Field)> {
    let fields = FIELDS
        .iter()
        .filter(|field| field.precedence != Precedence::OfProgram);
    fields.filter_map(|field| Some((field.flag?, field)))
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
        let command = command.args(fields().map(|(flag, field)| {
            let form = field.place.form();
            argument(flag, form.syntax == Syntax::Bool)
                .value_name(form.value_name)
                .help(help(field))
                .hide(field.effect == Effect::Nothing)
        }));
        command.args(EXTRA_FLAGS.iter().map(|extra| {
            let argument = argument(extra.flag, extra.is_switch());
            argument.help(extra.meaning).hide(true)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Declares a flag. The value of a switch may be left out, and is `true` then.
fn argument(flag: &'static str, is_switch: bool) -> Arg {
    let argument = Arg::new(flag)
        .long(flag)
        .action(ArgAction::Append)
        .help_heading(HEADING)
        .allow_negative_numbers(true);
    match is_switch {
        false => argument,
        true => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
    }
}

/// Returns the meaning as plain text.
fn help(field: &Field) -> String {
    let meaning = field.meaning().trim_end_matches('.').replace('`', "");
    let help = match field.default().as_str() {
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
        let names = fields().map(|(flag, _)| flag);
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
