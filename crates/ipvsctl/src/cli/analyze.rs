//! Arguments of `analyze`.

use clap::{Args, ValueEnum};
use model::{Code, Level};

use super::{NodeArgs, PlanFormat, Source};

/// Arguments of `analyze`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
A line for each finding, the most severe first: code, level, object, field, what is wrong; what is done \
instead. The last line counts them. `--explain CODE` says more about one code.

Examples:
  kubectl get svc,endpointslices,nodes -A -o yaml | ipvsctl analyze -f - --node node1
  ipvsctl analyze --kubeconfig ~/.kube/config --level warning
  ipvsctl analyze --explain KIV0108

Exit status: 0 no finding of level error, 1 there is one, 2 an error or a file that could not be read \
in whole.")]
pub struct Analyze {
    /// Where the objects come from.
    #[command(flatten)]
    pub source: Source,
    /// For which node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// The least level to show; all are counted.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub level: LeastLevel,
    /// Say what a code means and what to do about it, and nothing else.
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub explain: Option<Code>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanFormat,
}

/// The least level of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LeastLevel {
    /// Everything.
    Info,
    /// Something does not do what its author meant.
    Warning,
    /// Something that was asked for is not there.
    Error,
}

impl LeastLevel {
    /// The level itself.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Info => Level::Info,
            Self::Warning => Level::Warning,
            Self::Error => Level::Error,
        }
    }
}

fn code(text: &str) -> Result<Code, String> {
    let known = |code: &&Code| code.as_str().eq_ignore_ascii_case(text);
    let unknown = || {
        format!(
            "there is no such code; they are KIV0101 to {}",
            Code::ALL[Code::ALL.len() - 1]
        )
    };
    Code::ALL.iter().find(known).copied().ok_or_else(unknown)
}
