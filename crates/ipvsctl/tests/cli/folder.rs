//! Runs the built program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

/// Two Services with TCP, UDP and SCTP, IPv4 and IPv6.
pub(crate) const SHOP: &str = include_str!("../data/shop.yaml");
/// Tables of [`SHOP`].
pub(crate) const SHOP_TABLES: &str = include_str!("../data/shop.txt");

/// Output and exit status of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Checks the exit status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Checks that standard error contains `line`.
    #[track_caller]
    pub(crate) fn says(self, line: &str) -> Self {
        assert!(
            self.err.lines().any(|found| found == line),
            "no line\n{line}\nin\n{}",
            self.err
        );
        self
    }

    /// Returns standard output as JSON, which the JSON Schema of its kind describes.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let document: Value = serde_json::from_str(&self.out).expect("JSON");
        let kind = document["kind"].as_str().expect("a field `kind`");
        let problems: Vec<String> = (validator(kind).iter_errors(&document))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{kind}: {problems:#?}");
        document
    }
}

/// Returns the validator of the JSON Schema of `kind`.
pub(crate) fn validator(kind: &str) -> Validator {
    let schemas = ipvsctl::schema::schemas();
    let (_, schema) = (schemas.iter().find(|(known, _)| *known == kind)).expect("a schema");
    jsonschema::validator_for(schema).expect("a valid schema")
}

/// A folder with files in which the program runs.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// Returns a folder with [`SHOP`] in `shop.yaml` and the saved tables `live` in `live.txt`.
    pub(crate) fn with_live(live: &str) -> Self {
        Self::new().with("shop.yaml", SHOP).with("live.txt", live)
    }

    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.path().join(name), text).expect("a file is written");
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `ipvsctl` with `args`, separated by spaces, in the folder.
    pub(crate) fn run(&self, args: &str) -> Ran {
        self.run_with(args, |_| {})
    }

    /// As [`Self::run`], after `change` has changed the command.
    pub(crate) fn run_with(&self, args: &str, change: impl FnOnce(&mut Command)) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipvsctl"));
        command
            .args(args.split_ascii_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .stdin(Stdio::null());
        change(&mut command);
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("ipvsctl runs");
        Ran {
            status: status.code().expect("ipvsctl ends by itself"),
            out: String::from_utf8(stdout).expect("text"),
            err: String::from_utf8(stderr).expect("text"),
        }
    }
}
