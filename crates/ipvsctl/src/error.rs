//! Errors and exit status.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use kernel::linux::connections::ConnectionsError;
use kernel::{ObserveError, OpenError};
use model::{ObjectName, chain};
use sources::kube::ConnectError;
use sources::node_state::NodeStateError;
use sources::{ConfigErrors, SourceProblem};

use crate::commands::apply::Refusal;
use crate::input::pods::PodError;
use crate::input::running::RunningError;
use crate::input::surroundings::PacketError;
use crate::schema::SchemaError;
use crate::{style, suggest};

/// Outcome of a command, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Success; nothing to report.
    Done,
    /// A difference, a problem or a mistake was found.
    Found,
    /// The command could not do its work, or a part of its input could not be read.
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Found => 1,
            Status::Failed => 2,
        })
    }
}

/// Reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output could not be written.
    #[error("failed to write the output")]
    Output(#[source] io::Error),
    /// No node is named.
    #[error(
        "the node is not named; nothing was done: give --node NAME, or set nodeName in the --node-state \
         file or hostnameOverride in the --config file"
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
    #[error("no objects to read: give -f PATH or --kubeconfig FILE")]
    NoCluster(#[source] ConnectError),
    /// The connection to the API server cannot be set up.
    #[error(transparent)]
    Connect(ConnectError),
    /// The API server cannot be read.
    #[error(transparent)]
    Source(SourceProblem),
    /// No Service has this name.
    #[error("no Service {name}{}", suggestions(near))]
    NoService {
        /// The name.
        name: ObjectName,
        /// Names of Services like it.
        near: Vec<ObjectName>,
    },
    /// The input of the running kube-ipvsd cannot be read.
    #[error(
        "failed to read the input of the running kube-ipvsd; give -f PATH or --kubeconfig FILE"
    )]
    Running(#[source] RunningError),
    /// No object could be read.
    #[error("no Service and no VirtualServer could be read: see the errors above")]
    NothingRead,
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
        /// Cause.
        source: SavedError,
    },
    /// The file to import cannot be read.
    #[error("failed to import {}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file of saved tables does not contain this part.
    #[error("--live FILE: saved tables contain no {0}: leave out --live to read the kernel")]
    NotSaved(model::text::Part),
    /// Saved tables have no counters.
    #[error("--live FILE: saved tables contain no counters: leave out --live to read the kernel")]
    NoCounters,
    /// The manual pages could not be written.
    #[error("failed to write the manual pages to {}: the directory must exist", path.display())]
    Pages {
        /// The directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("failed to write the archive {}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The shell has no completion.
    #[error("no completion for the shell {given}: choose one of {known}")]
    NoShell {
        /// Name of the shell.
        given: String,
        /// Names of the known shells.
        known: String,
    },
    /// No command has this name.
    #[error("ipvsctl has no command `{0}`: see ipvsctl help")]
    NoCommand(String),
    /// A pod has no address.
    #[error(transparent)]
    Pod(PodError),
    /// The packet of a trace cannot be built.
    #[error(transparent)]
    Packet(PacketError),
    /// An option has no effect on what is printed.
    #[error("{option} is only for get {what}: leave it out")]
    OnlyFor {
        /// The option.
        option: &'static str,
        /// Name of the tables that have the option.
        what: &'static str,
    },
    /// Services cannot be selected without their names.
    #[error(
        "--service and --namespace select nothing, since the names of Services are unknown: {0}"
    )]
    NamesUnknown(String),
    /// The connections could not be read.
    #[error(transparent)]
    Connections(ConnectionsError),
    /// A live view needs a terminal.
    #[error("top needs a terminal: give --once to print the traffic of one interval")]
    NoTerminal,
    /// The terminal cannot be used.
    #[error("failed to use the terminal")]
    Terminal(#[source] io::Error),
    /// Two inputs are standard input.
    #[error(
        "-f - and --live - are both standard input, which can be read only once: name a file for one of them"
    )]
    StandardInputTwice,
    /// Both files of saved tables are standard input.
    #[error(
        "both inputs are standard input, which can be read only once: name a file for one of them"
    )]
    TablesTwice,
    /// The result could not be encoded.
    #[error("failed to encode the output as {format}")]
    Format {
        /// JSON or YAML.
        format: &'static str,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `apply` would do harm.
    #[error(transparent)]
    Refused(Refusal),
    /// Without a terminal there is no confirmation.
    #[error(
        "nothing was changed: apply needs a terminal to ask for confirmation; give --yes to apply without asking"
    )]
    NobodyToAsk,
    /// The confirmation could not be read.
    #[error("nothing was changed: failed to read the answer")]
    Ask(#[source] io::Error),
    /// The operator declined.
    #[error("nothing was changed: the answer was not yes")]
    Declined,
}

impl Error {
    /// Prints one line for each mistake on standard error, and returns the status of the command. A
    /// closed pipe at standard output is success, since its reader wants no more.
    pub fn report(&self) -> Status {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Status::Done;
            }
            Self::Config(ConfigErrors(errors)) => {
                for error in errors {
                    style::error(&error.to_string());
                }
            }
            error => style::error(&chain(error)),
        }
        Status::Failed
    }
}

/// Returns the end of an error that suggests names of Services.
fn suggestions(names: &[ObjectName]) -> String {
    match names.is_empty() {
        true => ": ipvsctl analyze counts the Services that were read".to_owned(),
        false => suggest::question(names),
    }
}

/// Reason why saved tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// A line cannot be parsed.
    #[error(transparent)]
    Text(model::text::TextError),
    /// JSON or YAML that cannot be parsed.
    #[error(transparent)]
    Schema(SchemaError),
}
