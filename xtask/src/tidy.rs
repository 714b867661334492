//! `cargo xtask tidy`: checks that need no compiler: layers, file sizes, fields that are explained, manifests.

mod layers;
mod manifests;
mod semantics;
mod sizes;

use crate::error::Result;
use crate::project::Project;
use crate::say::say;

/// Prints what is to be put right; the exit status is 1 if there is anything.
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
    let mut all = layers::complaints(project);
    all.extend(sizes::complaints(project)?);
    all.extend(semantics::complaints(project)?);
    all.extend(manifests::complaints(project)?);
    Ok(all)
}
