//! Arguments of `monitor`.

use std::time::Duration;

use clap::Args;

use super::select::seconds;
use super::{Format, Named, Select};

/// Arguments of `monitor`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Each line has the time of the reading, + for an addition, ~ for a change or - for a deletion, the change in \
the syntax of diff, its Service and who made it: kube-ipvsd, if it says so, else another program. -o json \
prints one document in each line.

IPVS sends no notifications. monitor therefore reads all tables again at every interval, and sees only what \
differs between two readings. A reading takes a request for each virtual server. The pause after it is at \
least four times as long, so that at most a fifth of a processor is used.

Ctrl-C ends it with status 0.

Examples:
  sudo ipvsctl monitor
  sudo ipvsctl monitor --service shop/web
  sudo ipvsctl monitor -o json --duration 60 > changes.jsonl")]
pub struct Monitor {
    /// Time between two readings, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub interval: Duration,
    /// End after this time, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
    /// Selection of virtual servers. With any of these options, other tables are not shown.
    #[command(flatten)]
    pub select: Select,
    /// Source of the names of Services.
    #[command(flatten)]
    pub named: Named,
}
