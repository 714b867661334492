//! Errors in a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use model::SafeText;

use crate::yaml::Place;

use super::given::GivenKey;

/// An error of a file, or of something in it. Prints as one line that begins with
/// `FILE:LINE:COLUMN:`, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file, as it was asked for; `-` for standard input.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The column, from 1.
    pub column: Option<u64>,
    /// The kind of error.
    pub kind: FileErrorKind,
}

/// Kinds of mistakes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileErrorKind {
    /// The operating system did not let us read.
    #[error("{action}: {cause}")]
    Read {
        /// The action that failed.
        action: &'static str,
        /// The operating system's message.
        cause: String,
    },
    /// Neither YAML nor JSON. The document is left out.
    #[error("invalid YAML or JSON: {0}; the document is ignored")]
    Syntax(SafeText),
    /// More documents than are read from one file. This one and all later ones are left out.
    #[error(
        "the file has more than {max} documents: this one and the later ones are ignored; split the file"
    )]
    TooManyDocuments {
        /// The maximum.
        max: usize,
    },
    /// A document that is no Kubernetes object. It is left out.
    #[error("not a Kubernetes object: {0}; it is ignored")]
    NoObject(String),
    /// An object with a field of the wrong type. It is left out.
    #[error("{object}: {path}: {what}; the object is ignored")]
    Object {
        /// Kind, namespace and name.
        object: SafeText,
        /// Where in the object, as in `spec.ports[0].port`.
        path: SafeText,
        /// The error at that place.
        what: SafeText,
    },
    /// An object that looks like one of ours and is none, as one with `kind: Sevice`. It is left
    /// out.
    #[error("{object}: {what}; the object is ignored")]
    PassedOver {
        /// Kind, namespace and name.
        object: SafeText,
        /// The problem.
        what: SafeText,
    },
    /// An object with a field that Kubernetes does not have.
    #[error("{object}: {path}: unknown field; it is ignored")]
    UnknownField {
        /// Kind, namespace and name.
        object: SafeText,
        /// The first one.
        path: SafeText,
    },
    /// The same object was there before. This one counts.
    #[error("{object} is also defined in {}; the last definition is used", .first.display())]
    Twice {
        /// Kind, namespace and name.
        object: String,
        /// Where it was first.
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

    pub(super) fn new(file: &Path, place: Option<Place>, kind: FileErrorKind) -> Self {
        Self {
            file: file.to_owned(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            kind,
        }
    }

    pub(super) fn twice(file: &Path, first: &Path, key: &GivenKey) -> Self {
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
