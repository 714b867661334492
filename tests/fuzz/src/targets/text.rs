//! Text of the tools: parsed text prints to text that parses to the same.

use ipvs::connection::parse_connection;
use ipvs::text::{Line, parse_lines, print_real_server, print_virtual_server};
use model::rules::Rules;

use super::{equal, rejected};

/// Parses `iptables-save`.
pub(super) fn iptables(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let _ = Rules::held_by_other_programs(&text);
    let Ok(rules) = Rules::parse(&text) else {
        return Ok(());
    };
    let promise = "rules are printed and parsed";
    let printed = rules.print();
    let again = Rules::parse(&printed).map_err(rejected(promise, &printed))?;
    equal(promise, &rules, &again)
}

/// Parses `ipvsadm-save`. Only valid servers are printed without loss.
pub(super) fn ipvsadm(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let mut lines = parse_lines(&text).unwrap_or_default();
    lines.retain(|line| match line {
        Line::VirtualServer(server) => server.validate().is_ok(),
        Line::RealServer(key, real) => real.validate(key).is_ok(),
    });
    let promise = "valid servers are printed and parsed";
    let printed: String = (lines.iter())
        .map(|line| match line {
            Line::VirtualServer(server) => print_virtual_server(server) + "\n",
            Line::RealServer(key, real) => print_real_server(key, real) + "\n",
        })
        .collect();
    let again = parse_lines(&printed).map_err(rejected(promise, &printed))?;
    equal(promise, &lines, &again)
}

/// Parses lines of `/proc/net/ip_vs_conn`. A virtual server of a parsed line has a key that prints.
pub(super) fn ip_vs_conn(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let mut connections = text.lines().flat_map(parse_connection);
    match connections.all(|connection| !connection.virtual_server().to_string().is_empty()) {
        true => Ok(()),
        false => Err("a parsed connection has a virtual server that prints".to_owned()),
    }
}

/// Parses `ipset save`.
pub(super) fn ipset_save(input: &[u8]) -> Result<(), String> {
    let Ok(sets) = ipset::text::parse(&String::from_utf8_lossy(input)) else {
        return Ok(());
    };
    let promise = "sets are printed and parsed";
    let printed = ipset::text::print(&sets);
    let again = ipset::text::parse(&printed).map_err(rejected(promise, &printed))?;
    equal(promise, &sets, &again)
}

/// Parses the tables of a node, with everything that is saved beside them.
pub(super) fn tables(input: &[u8]) -> Result<(), String> {
    let Ok(saved) = model::text::parse_saved(&String::from_utf8_lossy(input)) else {
        return Ok(());
    };
    let tables = saved.tables.clone();
    let valid = (tables.virtual_servers.iter()).all(|(key, entry)| {
        entry.server.validate().is_ok()
            && entry
                .real_servers
                .values()
                .all(|real| real.validate(key).is_ok())
    });
    let promise = "tables are printed and parsed";
    let printed = model::text::print(&tables);
    match model::text::parse(&printed) {
        Ok(again) if valid => equal(promise, &tables, &again)?,
        Err(error) if valid => return Err(rejected(promise, &printed)(error)),
        _ => return Ok(()),
    }
    let promise = "saved tables are printed and parsed";
    let printed = model::text::print_saved(&saved);
    let again = model::text::parse_saved(&printed).map_err(rejected(promise, &printed))?;
    equal(promise, &saved, &again)
}
