//! Arguments of `analyze`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use model::{Code, Level};

use crate::output::findings;

use super::{Format, NodeArgs, Source};

/// Arguments of `analyze`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Without -f and --kubeconfig the objects and the configuration are those of the running kube-ipvsd, as with \
diff.

Prints one line for each finding, the most severe first: code, level, object, field, problem; consequence. \
The last line counts the findings. `--explain CODE` explains one code.

Examples:
  kubectl get svc,endpointslices,nodes -A -o yaml | ipvsctl analyze -f - --node node1
  ipvsctl analyze --kubeconfig ~/.kube/config --level warning
  ipvsctl analyze --explain KIV0108

Exit status: 0 no finding of level error, 1 at least one, 2 an error or a file that could not be read \
completely.")]
pub struct Analyze {
    /// Source of the objects.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Lowest level to show; all levels are counted.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub level: LeastLevel,
    /// Only explain this code and what to do about it.
    #[arg(long, value_name = "CODE", value_parser = codes(), hide_possible_values = true, ignore_case = true)]
    pub explain: Option<Code>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// Lowest level of findings to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LeastLevel {
    /// All findings.
    Info,
    /// Problems that make an object behave in another way than its author meant, and worse.
    Warning,
    /// Parts of the input that are not served.
    Error,
}

impl LeastLevel {
    /// Returns the level.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Info => Level::Info,
            Self::Warning => Level::Warning,
            Self::Error => Level::Error,
        }
    }
}

/// Returns a parser of codes that also completes them, each with its title.
fn codes() -> impl TypedValueParser<Value = Code> {
    let known = Code::ALL
        .iter()
        .map(|code| PossibleValue::new(code.as_str()).help(findings::title(*code)));
    PossibleValuesParser::new(known).try_map(|text| {
        let found = |code: &&Code| code.as_str().eq_ignore_ascii_case(&text);
        Code::ALL.iter().find(found).copied().ok_or("no such code")
    })
}
