//! Errors, and the exit status.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use kernel::{ObserveError, OpenError};
use model::chain;
use sources::kube::ConnectError;
use sources::node_state::NodeStateError;
use sources::{ConfigErrors, SourceProblem};

use crate::schema::SchemaError;
use crate::style;

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done; for `diff`, there is no difference.
    Done,
    /// `diff`: there are differences.
    Differences,
    /// `config check`: the file has mistakes; `analyze`: so have objects.
    Mistakes,
    /// `doctor`: there are warnings or problems.
    Unwell,
    /// There was an error, or a part of the input could not be read.
    Error,
    /// `apply`: some of the changes failed.
    PartlyApplied,
    /// `migrate check`: something has to be done first.
    InTheWay,
    /// `migrate check`: there was an error, or a part of the input could not be read.
    NotChecked,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Differences | Status::Mistakes | Status::Unwell | Status::NotChecked => 1,
            Status::Error | Status::InTheWay => 2,
            Status::PartlyApplied => 3,
        })
    }
}

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output could not be written.
    #[error("failed to write the output")]
    Output(#[source] io::Error),
    /// It is not known for which node to answer.
    #[error(
        "no node is named: give --node NAME, or nodeName in the --node-state file, or \
         hostnameOverride in the --config file"
    )]
    NoNode,
    /// The configuration has mistakes.
    #[error(transparent)]
    Config(ConfigErrors),
    /// The file of `--node-state` has a mistake.
    #[error(transparent)]
    NodeState(NodeStateError),
    /// The runtime for the API server's client did not start.
    #[error("failed to start the network runtime")]
    Runtime(#[source] io::Error),
    /// Neither files nor a cluster are named.
    #[error("nothing to compare with, give -f PATH or --kubeconfig FILE")]
    NoCluster(#[source] ConnectError),
    /// There is no way to the API server.
    #[error(transparent)]
    Connect(ConnectError),
    /// The API server did not deliver.
    #[error(transparent)]
    Source(SourceProblem),
    /// The kernel could not be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The kernel could not be read.
    #[error(transparent)]
    Observe(ObserveError),
    /// A file with saved tables cannot be used.
    #[error("failed to use the saved tables {}", path.display())]
    Saved {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SavedError,
    },
    /// A saved table has no such thing.
    #[error("a file of saved tables holds no {0}: leave --live out to read the kernel")]
    NotSaved(&'static str),
    /// Two inputs want the same stream.
    #[error("standard input can be read once: -f - and --live - exclude each other")]
    StandardInputTwice,
    /// The answer could not be put into words that a machine reads.
    #[error("failed to print {format}")]
    Format {
        /// JSON or YAML.
        format: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No one can be asked.
    #[error(
        "nothing was changed: there is no terminal on which to ask; give --yes to apply without a question"
    )]
    NobodyToAsk,
    /// The question could not be asked.
    #[error("nothing was changed: failed to read the answer")]
    Ask(#[source] io::Error),
    /// The operator said no.
    #[error("nothing was changed: the answer was not yes")]
    Declined,
}

impl Error {
    /// Prints one line for each mistake on standard error; nothing where whoever read the output has
    /// gone.
    pub fn report(&self) {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Config(ConfigErrors(errors)) => {
                for error in errors {
                    style::error(&error.to_string());
                }
            }
            error => style::error(&chain(error)),
        }
    }
}

/// Why saved tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The operating system did not let us read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// A line makes no sense.
    #[error(transparent)]
    Text(model::text::TextError),
    /// JSON or YAML that makes no sense.
    #[error(transparent)]
    Schema(SchemaError),
}
