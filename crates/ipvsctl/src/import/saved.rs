//! Output of `ipvsadm-save -n`.

use std::path::Path;

use ipvs::text::{Line, parse_line};

use super::{Imported, Table};

/// Parses the lines of `text`. A line that is not valid is a mistake, and the others are used.
pub(super) fn parse(path: &Path, text: &str) -> Imported {
    let mut found = Imported::default();
    let mut table = Table::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok(Line::VirtualServer(server)) => {
                let key = server.key;
                if !table.add(server) {
                    found.error(
                        path,
                        number,
                        &format!("{key} exists already: the line is ignored"),
                    );
                }
            }
            Ok(Line::RealServer(key, real)) => match table.get(&key) {
                Some(entry) => entry.real_servers.push(real),
                None => {
                    let text = format!("no earlier line adds {key}: the line is ignored");
                    found.error(path, number, &text);
                }
            },
            Err(problem) => found.error(path, number, &format!("{problem}; the line is ignored")),
        }
    }
    found.servers = table.servers;
    found
}
