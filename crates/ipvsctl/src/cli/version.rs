//! Arguments of `version`.

use clap::Args;

use super::Format;

/// Arguments of `version`.
#[derive(Args, Debug)]
pub struct Version {
    /// Print only the version of ipvsctl.
    #[arg(long)]
    pub client: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
