//! The Debian packages of a guest, and those that are downloaded without being installed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{cache, shell};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;

/// Packages of every guest. `iptables` means the legacy tables, `netbase` has /etc/protocols.
pub(crate) const GUEST: &[&str] = &[
    "busybox-static",
    "crun",
    "dash",
    "iproute2",
    "ipset",
    "iptables",
    "ipvsadm",
    "kmod",
    "netbase",
    "procps",
];

/// Installs missing packages, and returns the versions of all.
///
/// # Errors
/// When packages are missing and this process is not root. The error has the command that installs
/// them.
pub(crate) fn ensure(names: &[&str]) -> Result<BTreeMap<String, String>> {
    let (versions, missing) = split(names, &query(names)?);
    if missing.is_empty() {
        return Ok(versions);
    }
    let line = format!(
        "apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    // SAFETY: geteuid has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Err(Error::new(format!(
            "Debian packages are missing; install them with\n  sudo {line}"
        )));
    }
    say(format_args!("installing {}", missing.join(", ")));
    install(&line)?;
    let (versions, missing) = split(names, &query(names)?);
    if missing.is_empty() {
        Ok(versions)
    } else {
        Err(Error::new(format!(
            "still missing after `{line}`: {}",
            missing.join(", ")
        )))
    }
}

/// Returns one `NAME <tab> STATUS <tab> VERSION` per known package; unknown ones are left out.
fn query(names: &[&str]) -> Result<String> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package}\t${db:Status-Status}\t${Version}\n"])
        .args(names)
        .output()
        .context(|| "starting dpkg-query (the guest is built from Debian packages)")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Splits the packages into installed ones with their versions, and missing ones, in the order of
/// `names`.
fn split<'a>(names: &[&'a str], answer: &str) -> (BTreeMap<String, String>, Vec<&'a str>) {
    let versions: BTreeMap<String, String> = answer
        .lines()
        .filter_map(|line| {
            let mut words = line.split('\t');
            let (name, status, version) = (words.next()?, words.next()?, words.next()?);
            (status == "installed").then(|| (name.to_owned(), version.to_owned()))
        })
        .collect();
    let missing = names
        .iter()
        .copied()
        .filter(|name| !versions.contains_key(*name))
        .collect();
    (versions, missing)
}

fn install(line: &str) -> Result {
    let run = || {
        Command::new("sh")
            .args(["-c", line])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context(|| format!("starting `{line}`"))
    };
    if run()?.success() {
        return Ok(());
    }
    say("that failed; refreshing the package lists");
    shell::output("apt-get", &["update"])?;
    if run()?.success() {
        return Ok(());
    }
    Err(Error::new(format!("`{line}` failed")))
}

/// Returns the directory with the files of the package `name`, downloaded once for each version and
/// not installed. `kind` is the prefix of the directory's name.
///
/// # Errors
/// When apt does not know the package, or cannot download it.
pub(crate) fn unpacked(project: &Project, kind: &str, name: &str) -> Result<PathBuf> {
    let version = match candidate(name) {
        Ok(version) => version,
        Err(_) => {
            say(format_args!(
                "apt knows no package {name}; refreshing its lists"
            ));
            shell::output("apt-get", &["update"])?;
            candidate(name)?
        }
    };
    cache::directory(project, kind, &format!("{name} {version}"), |directory| {
        say(format_args!("fetching {name}"));
        let package = download(name, directory)?;
        unpack(&package, directory)?;
        fs::remove_file(&package).context(|| format!("removing {}", package.display()))
    })
}

/// Returns the line with the version that apt would install.
fn candidate(name: &str) -> Result<String> {
    let about = shell::output("apt-cache", &["show", "--no-all-versions", name])?;
    let line = about.lines().find(|line| line.starts_with("Version:"));
    line.map(str::to_owned)
        .ok_or_else(|| Error::new(format!("apt knows no version of {name}")))
}

/// Downloads the package file to an empty directory.
fn download(name: &str, directory: &Path) -> Result<PathBuf> {
    let status = Command::new("apt-get")
        .args(["download", "-q", name])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context(|| "starting apt-get")?;
    let mut entries = files::entries(directory)?.into_iter();
    let found = entries.find(|path| path.extension().is_some_and(|end| end == "deb"));
    found.ok_or_else(|| {
        Error::new(format!(
            "`apt-get download {name}` fetched nothing ({status})"
        ))
    })
}

/// Writes the files of a package file to `directory`.
///
/// # Errors
/// When the file is not a package, or its files cannot be written.
pub(crate) fn unpack(package: &Path, directory: &Path) -> Result {
    shell::output(
        "dpkg-deb",
        &["-x".as_ref(), package.as_os_str(), directory.as_os_str()],
    )
    .map(|_| ())
}
