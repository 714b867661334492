//! A take-over as people read it.

use std::fmt::Write as _;

use model::Summary;

use super::plan;
use crate::migration::{Migration, WAY_BACK};
use crate::style;

/// The plan, its causes, what is in the way, what is good to know, and the way back. With escape sequences
/// for colours.
#[must_use]
pub fn text(migration: &Migration) -> String {
    let mut text = plan::text(&migration.plan);
    let causes = migration.causes().into_iter().map(|(cause, summary)| {
        let Summary {
            add,
            change,
            delete,
        } = summary;
        format!("{cause}: {add} to add, {change} to change, {delete} to delete")
    });
    section(&mut text, "Where the changes come from", causes);
    let in_the_way = migration.in_the_way();
    section(&mut text, "In the way", in_the_way.iter());
    section(&mut text, "To know", migration.notes().iter());
    section(&mut text, "The way back", WAY_BACK.iter());
    let heading = style::HEADING;
    let verdict = match in_the_way.len() {
        0 => "Nothing is in the way.".to_owned(),
        1 => "1 thing has to be done first.".to_owned(),
        count => format!("{count} things have to be done first."),
    };
    let _ = writeln!(text, "\n{heading}{verdict}{heading:#}");
    text
}

/// Nothing where there is no line.
fn section(text: &mut String, title: &str, lines: impl Iterator<Item: std::fmt::Display>) {
    let heading = style::HEADING;
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{heading}{title}{heading:#}");
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
}
