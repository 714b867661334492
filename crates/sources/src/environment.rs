//! Environment of a configuration: the variables and the file system that its paths refer to.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

#[cfg(test)]
mod tests;

/// Maximum number of symbolic links in a path, as in the kernel (`MAXSYMLINKS`,
/// `include/linux/namei.h`, Linux 6.1).
const MAX_LINKS: usize = 40;

/// Environment of a process: this one, or another one whose file system may differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Option<Foreign>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Foreign {
    root: PathBuf,
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Returns the environment of this process.
    #[must_use]
    pub fn own() -> Self {
        Self::default()
    }

    /// Returns the environment of another process.
    ///
    /// - `root`: its root directory, as this process sees it: `/proc/PID/root`, or `/` if both
    ///   processes have the same root
    /// - `folder`: its working directory below that root
    #[must_use]
    pub fn of_process(root: PathBuf, folder: PathBuf, variables: BTreeMap<String, String>) -> Self {
        Self(Some(Foreign {
            root,
            folder,
            variables,
        }))
    }

    /// Returns the variable `name`. `None` if it is not set, is empty, or is not UTF-8.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            None => std::env::var(name).ok(),
            Some(foreign) => foreign.variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// Returns the home directory, empty if it is unknown.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        match &self.0 {
            None => std::env::home_dir().unwrap_or_default(),
            Some(_) => self.variable("HOME").unwrap_or_default().into(),
        }
    }

    /// Returns true if programs and files have the same paths as in this process.
    #[must_use]
    pub fn has_own_files(&self) -> bool {
        (self.0.as_ref()).is_none_or(|foreign| foreign.root == Path::new("/"))
    }

    /// Returns the path by which this process reaches `path` of the environment. Symbolic links are
    /// resolved below the root of the environment, since an absolute link of a container refers to
    /// the container's files. The file itself need not exist.
    ///
    /// # Errors
    ///
    /// A link cannot be read, or there are too many of them.
    pub fn path(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.0 {
            None => Ok(path.to_owned()),
            Some(foreign) => foreign.resolve(path),
        }
    }

    /// Returns the path inside the environment for `path` that [`path`](Self::path) returned or
    /// that is inside it already.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        let root = self.0.as_ref().map(|foreign| &foreign.root);
        match root.and_then(|root| path.strip_prefix(root).ok()) {
            Some(rest) => Path::new("/").join(rest),
            None => path.to_owned(),
        }
    }
}

impl Foreign {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut rest = parts(&self.folder.join(path));
        let mut links = 0;
        let mut at = PathBuf::new();
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            let reached = self.root.join(&next);
            let is_link = (reached.symlink_metadata()).is_ok_and(|metadata| metadata.is_symlink());
            if !is_link {
                at = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other(format!(
                    "{}: too many symbolic links",
                    path.display()
                )));
            }
            let target = reached.read_link()?;
            if target.is_absolute() {
                at = PathBuf::new();
            }
            for part in parts(&target).into_iter().rev() {
                rest.push_front(part);
            }
        }
        Ok(self.root.join(at))
    }
}

/// Returns the names in `path`, with `..` but without the root and `.`.
fn parts(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    names.collect()
}
