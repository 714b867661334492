//! `ipvsctl version`.

use std::fs;

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::Version;
use crate::error::{Error, Status};
use crate::output::show;
use crate::schema::API_VERSION;

/// File with the IPVS table as text. Reading its first line needs no privileges and no netlink.
///
/// Source: `ip_vs_info_seq_show`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.
const TABLE: &str = "/proc/net/ip_vs";
const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// Versions of the program and the kernel.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Version of the format.
    pub api_version: &'static str,
    /// `Versions`.
    pub kind: &'static str,
    /// Version of this program.
    pub client: &'static str,
    /// Version of the running kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Version of IPVS; absent if the kernel has no IPVS or the module is not loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipvs: Option<String>,
}

/// Prints the versions.
///
/// # Errors
///
/// The output cannot be written.
pub fn run(args: &Version) -> Result<Status, Error> {
    let mut versions = Versions {
        api_version: API_VERSION,
        kind: "Versions",
        client: crate::VERSION,
        kernel: None,
        ipvs: None,
    };
    if !args.client {
        versions.kernel = (fs::read_to_string(RELEASE).ok()).map(|text| text.trim().to_owned());
        versions.ipvs = of_ipvs();
    }
    show(args.output, || &versions, || text(&versions, args.client))?;
    Ok(Status::Done)
}

/// Returns the version of IPVS; `None` if the kernel has no IPVS or the module is not loaded.
pub(crate) fn of_ipvs() -> Option<String> {
    let table = fs::read_to_string(TABLE).ok()?;
    ipvs_version(&table).map(ToOwned::to_owned)
}

fn text(versions: &Versions, client_only: bool) -> String {
    let mut text = format!("ipvsctl  {}\n", versions.client);
    if !client_only {
        let kernel = versions.kernel.as_deref().unwrap_or("unknown");
        let ipvs = (versions.ipvs.as_deref())
            .unwrap_or("unknown: the kernel has no IPVS, or the module ip_vs is not loaded");
        text.push_str(&format!("Linux    {kernel}\nIPVS     {ipvs}\n"));
    }
    text
}

/// Parses `IP Virtual Server version 1.2.1 (size=4096)`.
fn ipvs_version(table: &str) -> Option<&str> {
    let rest = table.strip_prefix("IP Virtual Server version ")?;
    rest.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::ipvs_version;

    #[test]
    fn version_is_parsed_from_first_line() {
        let table = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port\n";
        assert_eq!(ipvs_version(table), Some("1.2.1"));
        assert_eq!(ipvs_version("nonsense"), None);
    }
}
