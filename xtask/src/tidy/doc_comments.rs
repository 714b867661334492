//! Doc comments must start with a verb or a noun phrase that names the subject.

#[cfg(test)]
mod tests;

use super::SourceFile;

/// Words that must not start a paragraph of a doc comment.
const OPENINGS: [&str; 8] = [
    "What", "Whether", "Who", "Whose", "Those", "None", "Nobody", "Somebody",
];

/// Returns the paragraphs of doc comments that start with one of [`OPENINGS`].
pub(crate) fn complaints(files: &[SourceFile]) -> Vec<String> {
    (files.iter())
        .filter(|file| file.name.ends_with(".rs"))
        .flat_map(|file| complaints_in(&file.name, &file.text))
        .collect()
}

fn complaints_in(name: &str, text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut is_within = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = (line.strip_prefix("///")).or_else(|| line.strip_prefix("//!"));
        let paragraph = comment.map(str::trim).filter(|text| !text.is_empty());
        if let Some(paragraph) = paragraph.filter(|_| !is_within) {
            let opening = paragraph.split(|at: char| !at.is_alphanumeric()).next();
            all.extend(opening.filter(|word| OPENINGS.contains(word)).map(|word| {
                let number = index + 1;
                format!("{name}:{number}: a doc comment begins with `{word}`: name the subject")
            }));
        }
        is_within = paragraph.is_some();
    }
    all
}
