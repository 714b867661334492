//! Columns of fixed width, for tables that are printed while they are read.

use super::stream::Lines;
use crate::error::Error;

/// Number of blanks between columns.
const GAP: usize = 2;

/// Number of lines that wait before the first is printed. The widths of the columns are those of
/// these lines.
const FIRST: usize = 256;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    title: &'static str,
    width: usize,
    is_number: bool,
}

impl Column {
    /// Returns a column of text as wide as its title.
    #[must_use]
    pub fn text(title: &'static str) -> Self {
        Self {
            title,
            width: title.len(),
            is_number: false,
        }
    }

    /// Returns a column of right-aligned numbers as wide as its title.
    #[must_use]
    pub fn number(title: &'static str) -> Self {
        Self {
            is_number: true,
            ..Self::text(title)
        }
    }
}

/// The columns of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// Returns columns that are as wide as their titles.
    #[must_use]
    pub fn new(columns: Vec<Column>) -> Self {
        Self(columns)
    }

    /// Widens the columns so that `cells` fit. Cells that come later and are wider move the rest of
    /// their line to the right.
    pub fn fit(&mut self, cells: &[String]) {
        for (column, cell) in self.0.iter_mut().zip(cells) {
            column.width = column.width.max(cell.chars().count());
        }
    }

    /// Returns the line of titles.
    #[must_use]
    pub fn heading(&self) -> String {
        let titles: Vec<String> = (self.0.iter())
            .map(|column| column.title.to_owned())
            .collect();
        self.line(&titles)
    }

    /// Returns a line with `cells`, without blanks at its end.
    #[must_use]
    pub fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (column, cell) in self.0.iter().zip(cells) {
            let Column { width, .. } = *column;
            if !line.is_empty() {
                line.extend([' '; GAP]);
            }
            if column.is_number {
                line.push_str(&format!("{cell:>width$}"));
            } else {
                line.push_str(&format!("{cell:width$}"));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// A table that is printed while its lines are still read. The first lines wait until enough of them
/// are known to choose the widths.
#[derive(Debug)]
pub struct StreamedTable<'l, 'a> {
    lines: &'l mut Lines<'a>,
    columns: Columns,
    waiting: Vec<Vec<String>>,
    has_begun: bool,
}

impl<'l, 'a> StreamedTable<'l, 'a> {
    /// Returns a table that is written to `lines`.
    #[must_use]
    pub fn new(lines: &'l mut Lines<'a>, columns: Columns) -> Self {
        Self {
            lines,
            columns,
            waiting: Vec::new(),
            has_begun: false,
        }
    }

    /// Widens the columns so that `cells` fit.
    pub fn fit(&mut self, cells: &[String]) {
        self.columns.fit(cells);
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn row(&mut self, cells: Vec<String>) -> Result<(), Error> {
        if self.has_begun {
            return self.lines.line(&self.columns.line(&cells));
        }
        self.columns.fit(&cells);
        self.waiting.push(cells);
        match self.waiting.len() < FIRST {
            true => Ok(()),
            false => self.print_first(),
        }
    }

    fn print_first(&mut self) -> Result<(), Error> {
        self.has_begun = true;
        self.lines.line(&self.columns.heading())?;
        for cells in std::mem::take(&mut self.waiting) {
            self.lines.line(&self.columns.line(&cells))?;
        }
        self.lines.flush()
    }

    /// Ends the table. If it has no lines, prints `nothing` instead.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn end(mut self, nothing: &str) -> Result<(), Error> {
        match (self.has_begun, self.waiting.is_empty()) {
            (false, true) => self.lines.line(nothing)?,
            (false, false) => self.print_first()?,
            (true, _) => {}
        }
        self.lines.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_what_came_first() {
        let cells = |left: &str, number: &str, right: &str| [left, number, right].map(String::from);
        let mut columns = Columns::new(vec![
            Column::text("NAME"),
            Column::number("COUNT"),
            Column::text("END"),
        ]);
        columns.fit(&cells("default/web", "1", ""));
        let lines = [
            columns.heading(),
            columns.line(&cells("default/web", "1", "")),
            columns.line(&cells("", "1234567", "x")),
        ];
        assert_eq!(
            lines,
            [
                "NAME         COUNT  END",
                "default/web      1",
                "             1234567  x"
            ]
        );
    }
}
