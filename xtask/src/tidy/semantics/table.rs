//! The rows of a page's tables.

/// A row of a table, heads and rulers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The heading of the second level above it, empty where there is none.
    pub(super) section: String,
    /// Its line, from 1.
    pub(super) line: usize,
    /// Its cells.
    pub(super) cells: Vec<Cell>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Its text.
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

/// The rows of all tables of `page`.
pub(super) fn rows(page: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut section = String::new();
    // The head of a table is known by the ruler below it.
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

/// `\|` is a bar inside a cell.
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
