//! `ipvsctl config`.

use std::path::Path;
use std::{fs, io};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sources::ConfigErrors;
use sources::NodeOverrides;
use sources::config::{self, ConfigProblem, Document, EffectiveValue};

use crate::cli::{Config, ConfigCheck, ConfigCommand, ConfigShow};
use crate::error::{Error, Status};
use crate::input::node;
use crate::output::{self, print};
use crate::schema::API_VERSION;
use crate::style;

/// Checks or shows a configuration.
///
/// # Errors
///
/// The file cannot be read, the configuration to show has mistakes, or the output cannot be
/// written.
pub fn run(args: &Config) -> Result<Status, Error> {
    match &args.command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Show(args) => show(args),
    }
}

fn check(args: &ConfigCheck) -> Result<Status, Error> {
    let ConfigCheck {
        file,
        strict_config,
        lenient: _,
    } = args;
    let overrides = NodeOverrides {
        strict: *strict_config,
        ..NodeOverrides::default()
    };
    let text = match file == Path::new("-") {
        true => io::read_to_string(io::stdin()),
        false => fs::read_to_string(file),
    };
    let text = text.map_err(|error| unreadable(file, &error))?;
    // The result must not depend on the name of this host.
    let resolve = |document: Document| document.resolve(&overrides, "host");
    let name = match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    match config::parse(&name, &text).and_then(resolve) {
        Ok(resolved) => {
            node::report(&resolved);
            print(&format!("{name}: ok\n"))?;
            Ok(Status::Done)
        }
        Err(ConfigErrors(errors)) => {
            for error in errors {
                style::error(&error.to_string());
            }
            Ok(Status::Found)
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Config(ConfigErrors(vec![ConfigProblem {
        path: path.display().to_string(),
        message: format!("cannot be read: {error}"),
    }]))
}

fn show(args: &ConfigShow) -> Result<Status, Error> {
    let ConfigShow {
        config,
        strict_config,
        lenient: _,
        node,
        kubeconfig,
        output: format,
        flags,
    } = args;
    let overrides = NodeOverrides {
        node_name: node.clone(),
        kubeconfig: kubeconfig.clone(),
        flags: flags.clone(),
        strict: *strict_config,
    };
    let resolved = config::load(
        config.as_deref(),
        &overrides,
        &sources::node_state::hostname(),
    );
    let resolved = resolved.map_err(Error::Config)?;
    node::report(&resolved);
    let values = resolved.values();
    output::show(
        *format,
        || EffectiveConfiguration::from(values.as_slice()),
        || columns(&values),
    )?;
    Ok(Status::Done)
}

/// The effective configuration.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveConfiguration {
    /// Version of the format.
    api_version: &'static str,
    /// `EffectiveConfiguration`.
    kind: &'static str,
    /// Every field with its value.
    values: Vec<Shown>,
}

/// One field of the effective configuration.
#[derive(JsonSchema, Serialize)]
struct Shown {
    /// Path of the field in the configuration file.
    path: &'static str,
    /// The value in use.
    value: Value,
    /// Where the value comes from: the file, a flag, or the default.
    source: String,
}

impl From<&[EffectiveValue]> for EffectiveConfiguration {
    fn from(values: &[EffectiveValue]) -> Self {
        let shown = values.iter().map(|value| Shown {
            path: value.path,
            value: value.value.clone(),
            source: value.origin.to_string(),
        });
        Self {
            api_version: API_VERSION,
            kind: "EffectiveConfiguration",
            values: shown.collect(),
        }
    }
}

fn columns(values: &[EffectiveValue]) -> String {
    let mut table = Table::new();
    let rows = values.iter().map(|value| {
        let text = match value.text() {
            text if text.is_empty() => "\"\"".to_owned(),
            text => text,
        };
        [value.path.to_owned(), text, value.origin.to_string()]
    });
    table
        .load_style(NOTHING)
        .set_header(["FIELD", "VALUE", "SOURCE"])
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}
