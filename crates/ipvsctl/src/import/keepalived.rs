//! Configuration files of keepalived: virtual servers, real servers and groups.
//!
//! Keywords and defaults are those of keepalived 2.2 (keepalived.conf(5);
//! `keepalived/check/check_parser.c`, `check_data.c`, `ipvswrapper.c`). VRRP, scripts and most kinds
//! of health checks have no equivalent and are reported.

mod check;
mod group;
mod lex;
mod read;
mod server;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use ipvs::VirtualServerKey;

use self::group::Groups;
use super::{Imported, Options};

/// A line of the configuration with its block, if it has one.
#[derive(Clone, Debug)]
struct Statement {
    file: Rc<Path>,
    /// Line, counted from 1.
    line: usize,
    /// The words of the line; at least one.
    words: Vec<String>,
    /// The statements between the braces.
    block: Vec<Statement>,
}

impl Statement {
    fn keyword(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Returns the word after the keyword.
    fn value(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }
}

/// Parses a configuration that was read from `path`. Lines that begin with `@NAME` count if NAME is
/// the `config_id` of `options`.
pub(super) fn parse(path: &Path, text: &str, options: Options<'_>) -> Imported {
    let mut found = Imported::default();
    let statements = read::read(path, text, options, &mut found);
    let groups = Groups::of(&statements, &mut found);
    let elsewhere = vrrp_addresses(&statements);
    for statement in &statements {
        match statement.keyword() {
            "virtual_server" => {
                if let Err(problem) = server::read(statement, &groups, &mut found) {
                    let text =
                        format!("{problem}: this virtual server and the rest are not imported");
                    found.error(&statement.file, statement.line, &text);
                    break;
                }
            }
            "virtual_server_group" => {}
            "global_defs" => global(statement, &mut found),
            "vrrp_instance" | "vrrp_sync_group" | "vrrp_script" | "vrrp_track_process"
            | "vrrp_track_file" | "vrrp" => {
                found.note(
                    &statement.file,
                    statement.line,
                    &format!(
                        "{} is not imported: keep keepalived for VRRP",
                        statement.words.join(" ")
                    ),
                );
            }
            other => {
                let text = format!("{other} has no equivalent and is not imported");
                found.note(&statement.file, statement.line, &text);
            }
        }
    }
    for entry in &mut found.servers {
        if let VirtualServerKey::Address { address, .. } = entry.server.key {
            entry.bind = !elsewhere.contains(&address);
        }
    }
    found
}

/// Reports the global settings that affect IPVS.
fn global(statement: &Statement, found: &mut Imported) {
    for setting in &statement.block {
        let text = match setting.keyword() {
            "lvs_timeouts" => {
                "lvs_timeouts is not imported: set ipvs.tcpTimeout, tcpFinTimeout and udpTimeout in the configuration"
            }
            "lvs_sync_daemon" => {
                "lvs_sync_daemon is not imported: kube-ipvs does not synchronise connections"
            }
            _ => continue,
        };
        found.note(&setting.file, setting.line, text);
    }
}

/// Returns the addresses that VRRP adds to the node that is master.
fn vrrp_addresses(statements: &[Statement]) -> BTreeSet<IpAddr> {
    (statements.iter())
        .filter(|statement| statement.keyword() == "vrrp_instance")
        .flat_map(|instance| &instance.block)
        .filter(|block| {
            ["virtual_ipaddress", "virtual_ipaddress_excluded"].contains(&block.keyword())
        })
        .flat_map(|block| &block.block)
        .filter_map(|line| {
            let address = line.keyword();
            let bare = address.split_once('/').map_or(address, |(bare, _)| bare);
            bare.parse().ok()
        })
        .collect()
}
