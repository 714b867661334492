//! Downloads the cloud kernel of the next Debian suite as a package file. The system's own sources
//! stay unchanged.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{cache, shell};
use crate::error::{Context, Error, Result};
use crate::project::Project;
use crate::say::say;

/// Debian's archive, as in the system's default sources.
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// The suite after the one whose kernel is the current one.
const SUITE: &str = "trixie";

/// The package that always depends on a suite's current kernel.
pub(super) const CURRENT: &str = "linux-image-cloud-amd64";

/// apt's own downloader, which uses the system's proxies.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// Returns the package file, downloaded once for each version.
pub(crate) fn package(project: &Project) -> Result<PathBuf> {
    let lists = cache::directory(project, "suite", SUITE, |directory| {
        let list = format!("{ARCHIVE}/dists/{SUITE}/main/binary-amd64/Packages.gz");
        fetch(&list, &directory.join("Packages.gz"), None)
    })?;
    let packed = lists.join("Packages.gz");
    let reading = || format!("reading {}", packed.display());
    let mut text = String::new();
    let bytes = fs::read(&packed).context(reading)?;
    (GzDecoder::new(bytes.as_slice()))
        .read_to_string(&mut text)
        .context(reading)?;
    let found = find(&text)
        .ok_or_else(|| Error::new(format!("{SUITE} has no kernel that {CURRENT} depends on")))?;
    let directory = cache::directory(project, "deb", &found.hash, |directory| {
        say(format_args!("fetching {}", found.name));
        let url = format!("{ARCHIVE}/{}", found.path);
        fetch(&url, &directory.join("kernel.deb"), Some(&found.hash))
    })?;
    Ok(directory.join("kernel.deb"))
}

fn fetch(url: &str, to: &Path, hash: Option<&str>) -> Result {
    let target = to.to_string_lossy().into_owned();
    let hash = hash.map(|hash| format!("SHA256:{hash}"));
    let mut arguments = vec!["download-file", url, &target];
    arguments.extend(hash.as_deref());
    shell::output(HELPER, &arguments).map(|_| ())
}

/// A package of a list.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    name: String,
    path: String,
    hash: String,
}

/// Returns the kernel that [`CURRENT`] depends on in the text of a list.
fn find(list: &str) -> Option<Found> {
    let packages = || list.split("\n\n").map(fields);
    let named = |name: &str| packages().find(|package| package.get("Package") == Some(&name));
    let depends = named(CURRENT)?;
    let name = (depends.get("Depends")?)
        .split([' ', ','])
        .find(|word| word.starts_with("linux-image-"))?;
    let package = named(name)?;
    Some(Found {
        name: name.to_owned(),
        path: (*package.get("Filename")?).to_owned(),
        hash: (*package.get("SHA256")?).to_owned(),
    })
}

fn fields(package: &str) -> BTreeMap<&str, &str> {
    package
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect()
}
