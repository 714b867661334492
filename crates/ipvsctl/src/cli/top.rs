//! Arguments of `top`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::select::seconds;
use super::{Format, Named, Select};

/// Arguments of `top`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Keys:
  c a i p b n     sort by connections/s, active, inactive, packets/s, bytes/s, name
  /               filter by name
  Enter, Esc      show the virtual servers and endpoints of a Service; back
  Space           pause
  ? q             help; quit

Rates are differences of two readings. The kernel updates its counters every 2 s, so intervals that are \
multiples of 2 s show the steadiest rates. If a reading takes long, the pause after it is at least four \
times as long, so that at most a fifth of a processor is used.

SIGINT and SIGTERM end top with status 0. A second signal ends it at once, also if a reading hangs, with \
status 2.

Examples:
  sudo ipvsctl top
  sudo ipvsctl top --once --sort-by bytes | head
  sudo ipvsctl top --once --interval 10 -o json")]
pub struct Top {
    /// Time between two readings, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2")]
    pub interval: Duration,
    /// Print the rates of one interval and end.
    #[arg(long)]
    pub once: bool,
    /// Output format of --once.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        requires = "once"
    )]
    pub output: Format,
    /// Order at the start.
    #[arg(long, value_name = "ORDER", default_value = "rate")]
    pub sort_by: TopOrder,
    /// Selection of virtual servers.
    #[command(flatten)]
    pub select: Select,
    /// Source of the names of Services.
    #[command(flatten)]
    pub named: Named,
}

/// Order of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TopOrder {
    /// New connections each second.
    Rate,
    /// Active connections.
    Active,
    /// Inactive connections.
    Inactive,
    /// Packets each second.
    Packets,
    /// Bytes each second.
    Bytes,
    /// Name.
    Name,
}
