//! No source file is too long to be read in one go.

#[cfg(test)]
mod tests;

use super::SourceFile;

/// Lines above which a file is to be split.
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
