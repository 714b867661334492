//! The command line as `/flagz` shows it.

use clap::{ArgMatches, Command};
use sources::config::table::{EXTRA_FLAGS, FIELDS, Field};

use crate::http::flagz::Flags;

/// Returns every flag of `command` with the value that `matches` gives it, or its default.
pub(super) fn flags(command: &Command, matches: &ArgMatches) -> Flags {
    let value = |id: &str| {
        let values = matches.get_raw(id)?;
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        Some(values.join(","))
    };
    let mut flags: Flags = (command.get_arguments())
        .filter_map(|arg| {
            let name = arg.get_long()?;
            let shown = value(arg.get_id().as_str()).unwrap_or_else(|| default(name));
            Some((name.to_owned(), shown))
        })
        .collect();
    if let Some(verbosity) = value("verbosity") {
        flags.insert("v".to_owned(), verbosity);
    }
    flags
}

/// Returns the default of a flag of kube-proxy, or an empty text for other flags.
fn default(flag: &str) -> String {
    let field = FIELDS.iter().find(|field| field.flag == Some(flag));
    let extra = EXTRA_FLAGS.iter().find(|extra| extra.flag == flag);
    let default = field.map(Field::default);
    let default = default.or(extra.map(|extra| extra.default.to_owned()));
    default
        .filter(|default| default != "[]")
        .unwrap_or_default()
}
