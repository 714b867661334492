//! Parses the rows of a page's tables.

/// A row of a table, without heads and rulers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Heading of the second level above it; empty if there is none.
    pub(super) section: String,
    /// Line number, from 1.
    pub(super) line: usize,
    /// Cells of the row.
    pub(super) cells: Vec<Cell>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Text of the cell.
    pub(super) text: String,
    /// The parts between backquotes.
    pub(super) names: Vec<String>,
}

impl Row {
    /// Returns the subject of the row: the names of its first cell.
    pub(super) fn subject(&self) -> &[String] {
        self.cells.first().map_or(&[], |cell| &cell.names)
    }
}

/// Returns the rows of all tables of `page`.
pub(super) fn rows(page: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut section = String::new();
    // The ruler below it identifies the head of a table.
    let mut in_table = false;
    for (index, line) in page.lines().enumerate() {
        let line = line.trim();
        if let Some(heading) = line.strip_prefix("## ") {
            heading.trim().clone_into(&mut section);
        }
        if !line.starts_with('|') {
            in_table = false;
        } else if is_ruler(line) {
            in_table = true;
        } else if in_table {
            rows.push(Row {
                section: section.clone(),
                line: index + 1,
                cells: cells(line),
            });
        }
    }
    rows
}

fn is_ruler(line: &str) -> bool {
    line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

/// Splits a row into cells. `\|` is a bar inside a cell.
fn cells(line: &str) -> Vec<Cell> {
    let line = line.replace("\\|", "\u{0}");
    let inner = line.strip_prefix('|').unwrap_or(&line);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner
        .split('|')
        .map(|cell| {
            let text = cell.trim().replace('\u{0}', "|");
            let names = (text.split('`').skip(1).step_by(2))
                .map(str::to_owned)
                .collect();
            Cell { text, names }
        })
        .collect()
}
