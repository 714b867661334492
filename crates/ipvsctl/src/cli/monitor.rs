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

IPVS sends no notifications. monitor therefore reads the tables again at every interval, and sees only what \
differs between two readings. Of tables with more than 1,024 virtual servers, a reading has the real servers \
of 1,024 virtual servers, of new and changed ones, and of those that kube-ipvsd reports as changed. A change \
of a real server by another program is seen when its turn comes.

The pause after a reading is at least four times as long as the reading, so that at most a fifth of a \
processor is used. While nothing changes it doubles up to 32 times, but not beyond ten intervals. A change \
that kube-ipvsd reports ends the longer pause.

Ctrl-C ends monitor with status 0. A second Ctrl-C ends it at once, also if a reading hangs, with status 2.

Examples:
  sudo ipvsctl monitor
  sudo ipvsctl monitor --service shop/web
  sudo ipvsctl monitor -o json --duration 60 > changes.jsonl")]
pub struct Monitor {
    /// Time between two readings, in seconds. Ten times as long at most while nothing changes in a
    /// large table.
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
