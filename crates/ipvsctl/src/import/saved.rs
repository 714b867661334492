//! Output of `ipvsadm-save -n`.

use std::path::Path;

use ipvs::text::{Line, parse_line};

use super::{Imported, Table};

/// Parses the lines of `text`. A line that is not valid is a mistake, and the others are used.
pub(super) fn parse(path: &Path, text: &str) -> Imported {
    let mut table = Table::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let added = parse_line(line).and_then(|line| match line {
            Line::VirtualServer(server) => table.add(server),
            Line::RealServer(key, real) => table.add_real(key, real),
        });
        if let Err(problem) = added {
            let text = format!("{problem}; the line is ignored");
            table.found.error(path, number, &text);
        }
    }
    table.found
}
