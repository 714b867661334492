//! cpio archives (format "newc"), which the kernel unpacks as its first root directory.
//!
//! Layout: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::files;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Writes an archive whose files all belong to root.
pub(crate) struct Archive<W: Write> {
    output: W,
    /// Next inode number. The kernel joins entries of the same number.
    next: u32,
    directories: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    /// Creates an empty archive. `first` is its first inode number, which must differ between
    /// archives that are unpacked one after the other.
    pub(crate) fn new(output: W, first: u32) -> Self {
        Archive {
            output,
            next: first,
            directories: BTreeSet::new(),
        }
    }

    /// Adds the contents of a directory of the host as the content of `guest` (relative to the
    /// root).
    pub(crate) fn tree(&mut self, host: &Path, guest: &Path) -> Result {
        self.parents(&guest.join("x"))?;
        for from in files::entries(host)? {
            let to = guest.join(from.file_name().unwrap_or_default());
            if from.is_dir() && !from.is_symlink() {
                self.tree(&from, &to)?;
            } else {
                self.file(&from, &to)?;
            }
        }
        Ok(())
    }

    /// Adds a file or a symbolic link, and the directories above it.
    pub(crate) fn file(&mut self, host: &Path, guest: &Path) -> Result {
        self.parents(guest)?;
        let reading = || format!("reading {}", host.display());
        let about = fs::symlink_metadata(host).context(reading)?;
        if about.is_symlink() {
            let to = fs::read_link(host).context(reading)?;
            self.entry(guest, LINK | 0o777, to.as_os_str().as_bytes())
        } else if about.is_file() {
            let content = fs::read(host).context(reading)?;
            self.entry(
                guest,
                FILE | (about.permissions().mode() & 0o7777),
                &content,
            )
        } else {
            Err(Error::new(format!("{} is not a file", host.display())))
        }
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.entry(Path::new("TRAILER!!!"), 0, &[])?;
        self.output.flush().context(|| "writing an archive")?;
        Ok(self.output)
    }

    fn parents(&mut self, guest: &Path) -> Result {
        let mut above: Vec<_> = guest.ancestors().skip(1).collect();
        above.reverse();
        for directory in above {
            let new = !directory.as_os_str().is_empty()
                && self.directories.insert(directory.to_path_buf());
            if new {
                self.entry(directory, DIRECTORY | 0o755, &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, guest: &Path, mode: u32, content: &[u8]) -> Result {
        let name = guest.as_os_str().as_bytes();
        let size = u32::try_from(content.len())
            .map_err(|_| Error::new(format!("{} is too large for an archive", guest.display())))?;
        let inode = self.next;
        self.next += 1;
        // inode, mode, uid, gid, links, time, size, two device pairs, length of the name, check sum
        let length = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
        let mut head = b"070701".to_vec();
        for field in fields {
            head.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        head.extend_from_slice(name);
        head.push(0);
        head.resize(head.len().next_multiple_of(4), 0);
        let padding = content.len().next_multiple_of(4) - content.len();
        self.output
            .write_all(&head)
            .and_then(|()| self.output.write_all(content))
            .and_then(|()| self.output.write_all(&[0; 3][..padding]))
            .context(|| "writing an archive")
    }
}
