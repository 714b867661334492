//! Errors in a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use model::SafeText;

use crate::yaml::Place;

use super::converted::ConvertedKey;

/// An error of a file or of its contents. Prints as one line that begins with `FILE:LINE:COLUMN:`,
/// as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Path of the file as it was given; `-` for standard input.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: Option<u64>,
    /// Column, counted from 1.
    pub column: Option<u64>,
    /// Kind of error.
    pub kind: FileErrorKind,
}

/// Kinds of errors and warnings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileErrorKind {
    /// The operating system refused to read the file.
    #[error("{action}: {cause}")]
    Read {
        /// Failed action.
        action: &'static str,
        /// Message of the operating system.
        cause: String,
    },
    /// A subdirectory with manifests.
    #[error("the directory is not read, since subdirectories are not searched; name it too")]
    LeftOut,
    /// Neither YAML nor JSON. The document is ignored.
    #[error("invalid YAML or JSON: {0}; the document is ignored")]
    Syntax(SafeText),
    /// More documents than the maximum for one file. This document and all later ones are ignored.
    #[error(
        "the file has more than {max} documents: this one and the later ones are ignored; split the file"
    )]
    TooManyDocuments {
        /// Maximum number of documents.
        max: usize,
    },
    /// A document that is not a Kubernetes object. It is ignored.
    #[error("not a Kubernetes object: {0}; it is ignored")]
    NoObject(String),
    /// An object with a field of the wrong type. It is ignored.
    #[error("{object}: {path}: {what}; the object is ignored")]
    Object {
        /// Kind, namespace and name.
        object: SafeText,
        /// Path of the field, such as `spec.ports[0].port`.
        path: SafeText,
        /// Error of the field.
        what: SafeText,
    },
    /// An object with a misspelt kind or API version, such as `kind: Sevice`. It is ignored.
    #[error("{object}: {what}; the object is ignored")]
    Misspelt {
        /// Kind, namespace and name.
        object: SafeText,
        /// Problem of the object.
        what: SafeText,
    },
    /// An object with a field that Kubernetes does not have.
    #[error("{object}: {path}: unknown field{hint}; it is ignored")]
    UnknownField {
        /// Kind, namespace and name.
        object: SafeText,
        /// Path of the first unknown field.
        path: SafeText,
        /// ` (did you mean NAME?)`, or nothing.
        hint: String,
    },
    /// A second object with the same name. The last one is used.
    #[error("{object} is also defined in {}; the last definition is used", .first.display())]
    Twice {
        /// Kind, namespace and name.
        object: String,
        /// File of the earlier object.
        first: PathBuf,
    },
}

impl FileError {
    pub(super) fn read(file: &Path, action: &'static str, cause: &io::Error) -> Self {
        Self::new(
            file,
            None,
            FileErrorKind::Read {
                action,
                cause: cause.to_string(),
            },
        )
    }

    pub(super) fn left_out(directory: &Path) -> Self {
        Self::new(directory, None, FileErrorKind::LeftOut)
    }

    pub(super) fn new(file: &Path, place: Option<Place>, kind: FileErrorKind) -> Self {
        Self {
            file: file.to_owned(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            kind,
        }
    }

    pub(super) fn twice(file: &Path, first: &Path, key: &ConvertedKey) -> Self {
        Self::new(
            file,
            None,
            FileErrorKind::Twice {
                object: key.to_string(),
                first: first.to_owned(),
            },
        )
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        write!(f, " {}", self.kind)
    }
}

impl std::error::Error for FileError {}
