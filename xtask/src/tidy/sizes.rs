//! Source files must be short enough to read in one go.

#[cfg(test)]
mod tests;

use super::SourceFile;

/// Maximum number of lines of a file.
const LIMIT: usize = 600;

/// Returns the files that are too long.
pub(crate) fn complaints(files: &[SourceFile]) -> Vec<String> {
    (files.iter())
        .filter_map(|file| complaint(&file.name, &file.text))
        .collect()
}

fn complaint(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LIMIT).then(|| format!("{name} has {lines} lines, more than {LIMIT}: split it"))
}
