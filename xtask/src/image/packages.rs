//! Builds the lower layer: iptables in both variants, from Debian packages.
//!
//! The daemon runs `iptables-restore` and `iptables-save` of the variant that the node uses. The
//! same tables have rules of other programs, so the layer includes all extensions for IPv4 and
//! IPv6: without one, the program could not print a rule that uses it. Extensions for bridges and
//! ARP are left out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::tree::Tree;
use crate::error::{Context, Error, Result};
use crate::vm::{closure, packages, shell};

/// `netbase` has /etc/protocols, which rules need for names of protocols.
const PACKAGES: &[&str] = &["iptables", "netbase"];

/// Directory of the licence texts that Debian's notices name.
const COMMON_LICENSES: &str = "/usr/share/common-licenses/";

/// Directories that runtimes mount to, or that programs expect.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("proc", 0o555),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib/modules", 0o755),
    ("usr/lib64", 0o755),
    ("usr/sbin", 0o755),
];

/// Small files of /etc. The C library of iptables looks up protocols; that of our static programs
/// looks up the API server's name.
const ETC: &[(&str, &str)] = &[(
    "etc/nsswitch.conf",
    "hosts: files dns\nprotocols: files\nservices: files\n",
)];

/// Returns the layer's files, from the packages installed on this machine, and the versions of these
/// packages.
pub(crate) fn tree() -> Result<(Tree, BTreeMap<String, String>)> {
    packages::ensure(PACKAGES)?;
    let mut tree = Tree::default();
    for (path, mode) in DIRECTORIES {
        tree.directory(path, *mode);
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        tree.link(name, &format!("usr/{name}"));
    }
    for (path, text) in ETC {
        tree.file(path, 0o644, *text);
    }
    let programs = add_packages(&mut tree)?;
    let libraries = closure::libraries(&programs)?;
    for library in &libraries {
        add(&mut tree, library)?;
    }
    let names = add_notices(&mut tree, &libraries)?;
    complete(&tree)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok((tree, packages::ensure(&names)?))
}

/// Adds the selected files of the packages, and returns the programs and plug-ins among them.
fn add_packages(tree: &mut Tree) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    for file in shell::output("dpkg", &[&["-L"], PACKAGES].concat())?.lines() {
        let host = Path::new(file);
        let Some(inside) = closure::guest_path(host).filter(|path| wanted(path)) else {
            continue;
        };
        let about = fs::symlink_metadata(host).context(|| format!("looking at {file}"))?;
        if about.is_symlink() {
            let to = fs::read_link(host).context(|| format!("reading the link {file}"))?;
            tree.link(&inside.to_string_lossy(), &to.to_string_lossy());
        } else {
            add(tree, host)?;
            programs.push(host.to_path_buf());
        }
    }
    Ok(programs)
}

/// Returns true if a package's file belongs in the image.
fn wanted(inside: &Path) -> bool {
    let name = inside.file_name().unwrap_or_default().to_string_lossy();
    let folder = inside.parent().unwrap_or(Path::new(""));
    let is = |word: &str| folder.ends_with(word);
    if is("xtables") {
        return name.ends_with(".so")
            && ["libxt_", "libipt_", "libip6t_"]
                .iter()
                .any(|start| name.starts_with(start));
    }
    (is("usr/sbin") && (MULTIS.contains(&&*name) || links().contains(&&*name)))
        || inside == Path::new("etc/protocols")
}

const MULTIS: [&str; 2] = ["xtables-legacy-multi", "xtables-nft-multi"];

/// Returns the names of the links to the two programs.
fn links() -> [&'static str; 12] {
    [
        "ip6tables-legacy",
        "ip6tables-legacy-restore",
        "ip6tables-legacy-save",
        "ip6tables-nft",
        "ip6tables-nft-restore",
        "ip6tables-nft-save",
        "iptables-legacy",
        "iptables-legacy-restore",
        "iptables-legacy-save",
        "iptables-nft",
        "iptables-nft-restore",
        "iptables-nft-save",
    ]
}

/// Checks that every program exists, for any distribution's packaging.
fn complete(tree: &Tree) -> Result {
    let names = MULTIS.iter().copied().chain(links());
    let missing: Vec<&str> = names
        .filter(|name| !tree.contains(&format!("usr/sbin/{name}")))
        .collect();
    if missing.is_empty() && tree.contains("etc/protocols") {
        Ok(())
    } else {
        Err(Error::new(format!(
            "the packages {} lack /etc/protocols or {}",
            PACKAGES.join(", "),
            missing.join(", ")
        )))
    }
}

/// Adds a file of the host under its path, following links.
fn add(tree: &mut Tree, host: &Path) -> Result {
    let Some(inside) = closure::guest_path(host) else {
        return Err(Error::new(format!("{} has no place", host.display())));
    };
    let (mode, bytes) = read(host)?;
    tree.file(&inside.to_string_lossy(), mode, bytes);
    Ok(())
}

/// Returns a file's content and mode: that of a program or that of data.
fn read(host: &Path) -> Result<(u32, Vec<u8>)> {
    let reading = || format!("reading {}", host.display());
    let about = fs::metadata(host).context(reading)?;
    let mode = match about.permissions().mode() & 0o111 {
        0 => 0o644,
        _ => 0o755,
    };
    Ok((mode, fs::read(host).context(reading)?))
}

/// Adds the notices of every package with a file in the layer, and the licences that they name.
/// Returns the packages.
fn add_notices(tree: &mut Tree, libraries: &BTreeSet<PathBuf>) -> Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = PACKAGES.iter().map(|&name| name.to_owned()).collect();
    for library in libraries {
        names.insert(owner(library)?);
    }
    let mut licenses = BTreeSet::new();
    for name in &names {
        let path = format!("usr/share/doc/{name}/copyright");
        let host = Path::new("/").join(&path);
        let (_, bytes) = read(&host)?;
        licenses.extend(named_licenses(&String::from_utf8_lossy(&bytes)));
        tree.file(&path, 0o644, bytes);
    }
    for license in licenses {
        let path = format!("{COMMON_LICENSES}{license}");
        let (_, bytes) = read(Path::new(&path))?;
        tree.file(path.trim_start_matches('/'), 0o644, bytes);
    }
    Ok(names)
}

/// Returns the package of a file.
fn owner(file: &Path) -> Result<String> {
    let merged = Path::new("/usr").join(file.strip_prefix("/").unwrap_or(file));
    let split = file
        .strip_prefix("/usr")
        .map(|rest| Path::new("/").join(rest));
    // dpkg lists a file of a merged /usr under one of two paths.
    [Some(file.to_path_buf()), Some(merged), split.ok()]
        .into_iter()
        .flatten()
        .find_map(|path| {
            let answer = shell::output("dpkg-query", &[Path::new("-S"), &path]).ok()?;
            owner_in(&answer)
        })
        .ok_or_else(|| Error::new(format!("no Debian package owns {}", file.display())))
}

/// Returns the package in `libc6:amd64: /lib/…`.
fn owner_in(answer: &str) -> Option<String> {
    let (package, _) = answer.lines().next()?.split_once(": ")?;
    let name = package.split(':').next()?;
    (!name.contains(' ')).then(|| name.to_owned())
}

/// Returns the licences that a notice names by their path.
fn named_licenses(notice: &str) -> BTreeSet<String> {
    (notice.split(COMMON_LICENSES).skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)));
            rest[..end.unwrap_or(rest.len())]
                .trim_end_matches('.')
                .to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}
