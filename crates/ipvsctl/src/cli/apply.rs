//! Arguments of `apply`.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use clap::Args;
use ipvs::{AddressFamily, Protocol, VirtualServerKey};

use super::{Files, NodeArgs};

const SAFETY: &str = "Safety";

/// Arguments of `apply`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Only entries of Services are deleted. A virtual server of another program (its address is not on \
kube-ipvs0) stays, unless --delete names it.

apply changes nothing and has status 2 if

  - kube-ipvsd or kube-proxy runs on the node. It would undo the changes at its next audit, and until \
then connections to the changed Services fail. --force applies them all the same.
  - the plan deletes all virtual servers of Services, or deletes any while the input has no Service and no VirtualServer: a \
wrong directory looks like that. --allow-empty applies it all the same.

Ctrl-C and SIGTERM stop apply between two batches of changes. It then prints the numbers of changes that \
were made and that were not. The same command finishes the work. A second Ctrl-C ends apply at once.

Examples:
  sudo ipvsctl apply -f manifests/
  sudo ipvsctl apply -f manifests/ --yes                         # in a script
  sudo ipvsctl apply -f manifests/ --delete 192.0.2.10:443/TCP   # and this virtual server

Exit status: 0 applied or nothing to do, 2 refused, an error, a change that failed, an interruption, or \
input that could not be read completely (nothing is deleted then).")]
pub struct Apply {
    /// Source of the objects.
    #[command(flatten)]
    pub files: Files,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Apply without asking for confirmation.
    #[arg(short, long)]
    pub yes: bool,
    /// Apply although a service proxy runs on the node.
    #[arg(long, help_heading = SAFETY)]
    pub force: bool,
    /// Apply although no virtual server of a Service would remain.
    #[arg(long, help_heading = SAFETY)]
    pub allow_empty: bool,
    /// Delete also this virtual server, whoever made it; may be given several times. If a Service
    /// needs the same address and port, it gets the virtual server instead.
    #[arg(long, value_name = "VIRTUAL-SERVER", value_parser = virtual_server, help_heading = SAFETY)]
    pub delete: Vec<VirtualServerKey>,
}

/// Parses a virtual server as `get servers` prints it.
fn virtual_server(text: &str) -> Result<VirtualServerKey, String> {
    let wrong = || {
        "expected a virtual server as get servers prints it, such as 10.96.0.10:80/TCP or 'fwmark 1 (IPv4)'"
            .to_owned()
    };
    if let Some(rest) = text.strip_prefix("fwmark ") {
        let (mark, family) = rest.split_once(' ').ok_or_else(wrong)?;
        let mut families = AddressFamily::ALL.into_iter();
        return Ok(VirtualServerKey::Fwmark {
            family: (families.find(|known| format!("({known})") == family)).ok_or_else(wrong)?,
            mark: mark.parse().map_err(|_| wrong())?,
        });
    }
    let (at, protocol) = text.rsplit_once('/').ok_or_else(wrong)?;
    let at: SocketAddr = at.parse().map_err(|_| wrong())?;
    Ok(VirtualServerKey::Address {
        address: at.ip(),
        port: at.port(),
        protocol: Protocol::named(protocol).ok_or_else(wrong)?,
    })
}
