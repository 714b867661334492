//! Writes a tree as a layer: an archive with the same bytes for the same tree.
//!
//! Source: OCI image-spec 1.1, `layer.md`: entries sorted here, no extended attributes, no change
//! marks.

#[cfg(test)]
mod tests;

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::Write as _;
use tar::{Builder, EntryType, Header};

use super::tree::{Entry, Tree};
use crate::error::{Context, Result};

/// SHA-256 of some bytes. Prints as `sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest(String);

impl Digest {
    /// Computes the digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        Digest(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns only the hexadecimal digits.
    pub(crate) fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// A layer of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Name in messages.
    pub(crate) name: &'static str,
    /// Digest of the archive before compression, the `diff_id`.
    pub(crate) diff: Digest,
    /// Digest of the compressed archive.
    pub(crate) digest: Digest,
    /// The archive, compressed by gzip.
    pub(crate) compressed: Vec<u8>,
    /// Length of the archive in bytes before compression.
    pub(crate) unpacked: usize,
}

impl Layer {
    /// Builds a layer. `time`, in seconds since 1970, is the time of every entry.
    pub(crate) fn new(name: &'static str, tree: &Tree, time: u64) -> Result<Self> {
        let archive = archive(tree, time)?;
        let compressed = compress(&archive)?;
        Ok(Layer {
            name,
            diff: Digest::of(&archive),
            digest: Digest::of(&compressed),
            compressed,
            unpacked: archive.len(),
        })
    }
}

/// Compresses by gzip, with a header without name and time.
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    (gzip.write_all(bytes))
        .and_then(|()| gzip.finish())
        .context(|| "compressing an archive")
}

/// Returns the tree as a tar archive. Every entry belongs to user and group 0 and has the time
/// `time`.
pub(crate) fn archive(tree: &Tree, time: u64) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, entry) in tree.entries() {
        let mut header = Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_size(0);
        let written = match entry {
            Entry::Directory { mode } => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(*mode);
                archive.append_data(&mut header, format!("{path}/"), std::io::empty())
            }
            Entry::File { mode, bytes } => {
                header.set_entry_type(EntryType::Regular);
                header.set_mode(*mode);
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, path, &bytes[..])
            }
            Entry::Link { to } => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                archive.append_link(&mut header, path, to)
            }
        };
        written.context(|| format!("archiving {path}"))?;
    }
    archive.into_inner().context(|| "ending an archive")
}
