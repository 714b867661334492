//! `ipvsctl import`.

use std::path::Path;

use crate::cli::{Import, ManifestFormat};
use crate::error::{Error, Status};
use crate::import::{self, Imported, Options};
use crate::input::text::read_at_most;
use crate::output::manifests;
use crate::style;

/// Prints the VirtualServers of another program's configuration.
///
/// # Errors
///
/// The input cannot be read, or the output cannot be written.
pub fn run(args: &Import) -> Result<Status, Error> {
    let Import {
        path,
        from,
        config_id,
        strict,
        output,
    } = args;
    let text = read_at_most(path, import::MAX_BYTES).map_err(|source| Error::Import {
        path: path.clone(),
        source,
    })?;
    let origin = from.unwrap_or_else(|| import::detect(&text));
    let options = Options {
        config_id: config_id.as_deref(),
        includes: true,
    };
    let mut imported = import::parse(path, &text, origin, options);
    print(&mut imported, path, *output)?;
    report(&imported);
    Ok(match () {
        () if imported.has_errors() => Status::Failed,
        () if *strict && !imported.notes.is_empty() => Status::Found,
        () => Status::Done,
    })
}

fn print(imported: &mut Imported, path: &Path, format: ManifestFormat) -> Result<(), Error> {
    let found = imported.manifests(path);
    if found.is_empty() {
        style::warning(&format!("{}: no virtual servers found", path.display()));
    }
    match format {
        ManifestFormat::Yaml => manifests::yaml(&found),
        ManifestFormat::Json => manifests::json(&found),
    }
}

/// Prints what was not imported on standard error.
fn report(imported: &Imported) {
    for note in &imported.notes {
        if note.is_error {
            style::error(&note.to_string());
        } else {
            style::warning(&note.to_string());
        }
    }
    if imported.more_notes > 0 {
        style::warning(&format!(
            "{} more parts are not imported",
            imported.more_notes
        ));
    }
}
