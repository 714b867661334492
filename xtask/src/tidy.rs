//! `cargo xtask tidy`: checks that need no compiler: layers, file sizes, openings of doc comments,
//! documented fields, manifests, links of pages, runbooks.

mod doc_comments;
mod layers;
mod manifests;
pub(crate) mod pages;
mod runbooks;
mod semantics;
mod sizes;

use std::fs;

use crate::error::Result;
use crate::project::Project;
use crate::say::say;

/// Prints the complaints. The exit status is 1 if there are any.
pub(crate) fn command(project: &Project) -> Result<u8> {
    let found = complaints(project)?;
    for complaint in &found {
        println!("{complaint}");
    }
    if found.is_empty() {
        say("tidy");
    }
    Ok(u8::from(!found.is_empty()))
}

/// Returns the complaints, one sentence each.
pub(crate) fn complaints(project: &Project) -> Result<Vec<String>> {
    let files = source_files(project)?;
    let mut all = layers::complaints(project, &files);
    all.extend(sizes::complaints(&files));
    all.extend(doc_comments::complaints(&files));
    all.extend(semantics::complaints(project)?);
    all.extend(manifests::complaints(project)?);
    all.extend(pages::complaints(project)?);
    all.extend(runbooks::complaints(project)?);
    Ok(all)
}

/// A source file of the project.
struct SourceFile {
    /// Path from the project's root.
    name: String,
    text: String,
}

/// Returns the Rust files and shell scripts that git tracks or would add.
fn source_files(project: &Project) -> Result<Vec<SourceFile>> {
    let names = project.files(&["*.rs", "*.sh"])?.into_iter();
    // A deleted file that is still in the index cannot be read.
    let files = names.filter_map(|name| {
        let bytes = fs::read(project.root.join(&name)).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(SourceFile { name, text })
    });
    Ok(files.collect())
}
