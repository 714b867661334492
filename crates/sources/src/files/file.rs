//! One file: documents, lists, objects.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

use model::SafeText;
use serde_json::Value;

use super::converted::{Converted, ConvertedKey};
use super::error::{FileError, FileErrorKind};
use super::object::{self, Outcome};
use super::paths::STDIN;
use crate::pods::PodAddresses;
use crate::yaml::{self, Part, Place, Step};

/// Maximum number of documents in one file: enough for 100,000 Services with their slices. Even a
/// tiny document takes about 20 µs to read, so without a limit a file of a few megabytes could
/// stall the daemon for minutes.
const MAX_DOCUMENTS: usize = 250_000;

/// Maximum number of errors in one file with line and column, and of warnings. Finding a line needs
/// another reading of the whole document, so without a limit a list of many invalid objects would
/// take quadratic time.
const MAX_PLACES: usize = 100;

/// Contents of a file, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) objects: Vec<(ConvertedKey, Converted)>,
    pub(super) errors: Vec<FileError>,
    pub(super) warnings: Vec<FileError>,
    pub(super) other_kinds: BTreeMap<SafeText, usize>,
    /// Addresses of pods, to which the file adds its own; `None` if they are not collected.
    pub(super) pods: Option<PodAddresses>,
}

pub(super) fn read(path: &Path, pods: Option<PodAddresses>) -> File {
    match read_text(path) {
        Ok(text) => parse(path, &text, pods),
        Err(cause) => File {
            errors: vec![FileError::read(path, "cannot be read", &cause)],
            pods,
            ..File::default()
        },
    }
}

pub(super) fn parse(path: &Path, text: &str, pods: Option<PodAddresses>) -> File {
    let file = File {
        pods,
        ..File::default()
    };
    parse_at_most(MAX_DOCUMENTS, path, text, file)
}

fn parse_at_most(max_documents: usize, path: &Path, text: &str, mut file: File) -> File {
    let parts = yaml::parts(text.trim_start_matches('\u{feff}'));
    let parts = parts.iter().filter(|part| !yaml::is_empty(part.text));
    for (number, &part) in parts.enumerate() {
        if number == max_documents {
            let place = Place { line: 1, column: 1 }.below(part.lines_before);
            let kind = FileErrorKind::TooManyDocuments { max: max_documents };
            file.errors.push(FileError::new(path, Some(place), kind));
            break;
        }
        let (values, error) = yaml::documents(part.text);
        let alone = values.len() == 1 && error.is_none();
        for value in values {
            let mut document = Document {
                path,
                text: alone.then_some(part),
                file: &mut file,
            };
            document.read(value, &mut Vec::new(), None);
        }
        if let Some(error) = error {
            let place = error.place.map(|place| place.below(part.lines_before));
            let kind = FileErrorKind::Syntax(error.what.into());
            file.errors.push(FileError::new(path, place, kind));
        }
    }
    file
}

fn read_text(path: &Path) -> io::Result<String> {
    if path != Path::new(STDIN) {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

struct Document<'a> {
    path: &'a Path,
    /// Text of the document; `None` if the text contains several documents or an error.
    text: Option<Part<'a>>,
    file: &'a mut File,
}

impl Document<'_> {
    /// Reads a value: an object, or a list of values. Items without a kind have the kind of the
    /// list.
    fn read(&mut self, mut value: Value, at: &mut Vec<Step>, kind_of_list: Option<(&str, &str)>) {
        if let (Some((api_version, kind)), Some(map)) = (kind_of_list, value.as_object_mut())
            && !map.contains_key("kind")
        {
            map.insert("apiVersion".to_owned(), api_version.into());
            map.insert("kind".to_owned(), kind.into());
        }
        let Some(kind) = value.get("kind").and_then(Value::as_str) else {
            let what = "the field kind is missing".to_owned();
            return self.fail(at, FileErrorKind::NoObject(what));
        };
        let api_version = value.get("apiVersion").and_then(Value::as_str);
        let (kind, api_version) = (kind.to_owned(), api_version.unwrap_or_default().to_owned());
        if let (Some(kind), Some(Value::Array(items))) =
            (kind.strip_suffix("List"), value.get_mut("items"))
        {
            let kind_of_list = (!kind.is_empty()).then_some((api_version.as_str(), kind));
            at.push(Step::Key("items".to_owned()));
            for (index, item) in std::mem::take(items).into_iter().enumerate() {
                at.push(Step::Index(index));
                self.read(item, at, kind_of_list);
                at.pop();
            }
            at.pop();
            return;
        }
        if self.file.warnings.len() < MAX_PLACES
            && let Some(doubt) = object::doubt(&api_version, &kind, &value)
        {
            let doubt = self.error(at, doubt);
            self.file.warnings.push(doubt);
        }
        match object::read(&api_version, &kind, value, self.file.pods.as_mut()) {
            Outcome::Object(key, converted) => self.file.objects.push((key, converted)),
            Outcome::OtherKind => {
                *self.file.other_kinds.entry(kind.into()).or_default() += 1;
            }
            Outcome::NotSelected => {}
            Outcome::Mistake { steps, kind } => {
                let length = at.len();
                at.extend(steps);
                self.fail(at, kind);
                at.truncate(length);
            }
        }
    }

    fn fail(&mut self, at: &[Step], kind: FileErrorKind) {
        let error = self.error(at, kind);
        self.file.errors.push(error);
    }

    fn error(&self, at: &[Step], kind: FileErrorKind) -> FileError {
        let text = self.text.filter(|_| self.file.errors.len() < MAX_PLACES);
        let place = text.and_then(|part| {
            let place = yaml::locate(part.text, at)?;
            Some(place.below(part.lines_before))
        });
        FileError::new(self.path, place, kind)
    }
}
