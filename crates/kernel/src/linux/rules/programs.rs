//! Finds the iptables programs.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipvs::AddressFamily;

use super::run::{self, IptablesError};
use crate::linux::stop::StopSignal;

/// Folders of the programs, for a search path without system folders.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Packet filter that an iptables program changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// nf_tables, through `iptables-nft`.
    Nft,
    /// x_tables, through `iptables-legacy`. It is the only variant before iptables 1.8.
    Legacy,
}

impl Variant {
    fn suffix(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

/// Prints `iptables-nft` or `iptables-legacy`.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iptables-{}", self.suffix())
    }
}

/// A version of iptables. Prints as `1.8.9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// First version whose `iptables-restore` supports `--wait`, and that supports
    /// `--random-fully`.
    pub(super) const RESTORE_WAITS: Self = Self(1, 6, 2);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Purpose of a program of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    Main,
    Save,
    Restore,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Main, Self::Save, Self::Restore];

    /// Returns the name of the program, for example `iptables-nft-save`, or `iptables-save` without
    /// a variant.
    fn name(self, family: AddressFamily, variant: Option<Variant>) -> String {
        let family = match family {
            AddressFamily::Ipv4 => "iptables",
            AddressFamily::Ipv6 => "ip6tables",
        };
        let variant = variant.map_or(String::new(), |variant| format!("-{}", variant.suffix()));
        let tool = match self {
            Self::Main => "",
            Self::Save => "-save",
            Self::Restore => "-restore",
        };
        format!("{family}{variant}{tool}")
    }
}

/// A program to run. A multi-call binary takes the name of the applet as its first argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) applet: Option<String>,
}

impl Program {
    /// Returns a command that runs the program with English output.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.applet);
        command.env("LC_ALL", "C");
        command
    }

    fn version(&self, stop: &StopSignal) -> Result<Option<(Version, Variant)>, IptablesError> {
        let text = run::version(self, stop)?;
        Ok(text.and_then(|text| read_version(&text)))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.applet {
            Some(applet) => write!(f, " {applet}"),
            None => Ok(()),
        }
    }
}

/// Parses a version such as `iptables v1.8.9 (nf_tables)`. Before 1.8 the variant is missing.
pub(super) fn read_version(text: &str) -> Option<(Version, Variant)> {
    let mut words = text.split_ascii_whitespace();
    let version = words.find_map(|word| {
        let mut numbers = word.strip_prefix('v')?.split('.').map(str::parse);
        let mut number = || numbers.next()?.ok();
        let (major, minor) = (number()?, number()?);
        Some(Version(major, minor, number().unwrap_or(0)))
    })?;
    let variant = match words.next() {
        Some("(nf_tables)") => Variant::Nft,
        _ => Variant::Legacy,
    };
    Some((version, variant))
}

/// The programs of one variant. The programs of IPv4 exist; those of IPv6 may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) variant: Variant,
    programs: BTreeMap<(AddressFamily, Tool), Program>,
}

impl Suite {
    pub(super) fn program(&self, family: AddressFamily, tool: Tool) -> Option<&Program> {
        self.programs.get(&(family, tool))
    }

    /// Returns the version that the programs print, or `None` if no program prints it.
    ///
    /// # Errors
    ///
    /// Fails if a program was killed because it did not answer or because the daemon is stopping.
    pub(super) fn version(&self, stop: &StopSignal) -> Result<Option<Version>, IptablesError> {
        let version_programs = VERSION_TOOLS.map(|tool| self.program(AddressFamily::Ipv4, tool));
        Ok(version_of(version_programs.into_iter().flatten(), stop)?.map(|(version, _)| version))
    }
}

/// Programs that print their version. `iptables-restore` prints it only in newer versions.
const VERSION_TOOLS: [Tool; 2] = [Tool::Main, Tool::Restore];

/// Returns the version that the first of `programs` prints.
fn version_of(
    programs: impl IntoIterator<Item = impl Borrow<Program>>,
    stop: &StopSignal,
) -> Result<Option<(Version, Variant)>, IptablesError> {
    for program in programs {
        if let Some(version) = program.borrow().version(stop)? {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// Folders in which programs are searched.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) folders: Vec<PathBuf>,
}

impl Search {
    /// Returns the folders of the search path, followed by the system folders.
    pub(super) fn of_system() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        for folder in FOLDERS.map(PathBuf::from) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.retain(|folder| folder.is_absolute());
        Self { folders }
    }

    /// Returns the programs of `variant` if the two required ones for IPv4 exist. Each is searched
    /// by its own name (`iptables-nft-save`), then as an applet of `xtables-nft-multi`, then by the
    /// name without a variant if that program belongs to the variant.
    ///
    /// # Errors
    ///
    /// Fails if a program was killed while it printed its version.
    pub(super) fn suite(
        &self,
        variant: Variant,
        stop: &StopSignal,
    ) -> Result<Option<Suite>, IptablesError> {
        let named = |family, tool: Tool| self.own(&tool.name(family, Some(variant)));
        let multi = self.find(&multi(variant));
        let part = |family, tool: Tool| {
            let (path, applet) = (multi.clone()?, Some(tool.name(family, None)));
            Some(Program { path, applet })
        };
        let of_variant = |family, tool| named(family, tool).or_else(|| part(family, tool));
        if let Some(suite) = self.complete(variant, of_variant) {
            return Ok(Some(suite));
        }
        let plain = |family, tool: Tool| self.own(&tool.name(family, None));
        let programs = VERSION_TOOLS.map(|tool| plain(AddressFamily::Ipv4, tool));
        let version = version_of(programs.into_iter().flatten(), stop)?;
        let variant_of_plain = version.map_or(Variant::Legacy, |(_, variant)| variant);
        Ok((variant_of_plain == variant)
            .then(|| self.complete(variant, plain))
            .flatten())
    }

    fn complete(
        &self,
        variant: Variant,
        find: impl Fn(AddressFamily, Tool) -> Option<Program>,
    ) -> Option<Suite> {
        let mut programs = BTreeMap::new();
        for family in super::AddressFamily::ALL {
            for tool in Tool::ALL {
                if let Some(program) = find(family, tool) {
                    programs.insert((family, tool), program);
                }
            }
        }
        let of_ipv4 = |tool| programs.get(&(AddressFamily::Ipv4, tool));
        if of_ipv4(Tool::Save).is_none() || of_ipv4(Tool::Restore).is_none() {
            return None;
        }
        Some(Suite { variant, programs })
    }

    fn own(&self, name: &str) -> Option<Program> {
        let path = self.find(name)?;
        Some(Program { path, applet: None })
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let mut paths = self.folders.iter().map(|folder| folder.join(name));
        paths.find(|path| is_program(path))
    }

    /// Describes the names that were searched and the folders.
    pub(super) fn missing(&self, variant: Variant, family: AddressFamily) -> String {
        let restore = Tool::Restore;
        self.missing_names(&[
            restore.name(family, Some(variant)),
            multi(variant),
            restore.name(family, None),
        ])
    }

    /// Describes the names of both variants that were searched and the folders.
    pub(super) fn missing_both(&self) -> String {
        let restore = |variant| Tool::Restore.name(AddressFamily::Ipv4, variant);
        let (nft, legacy) = (Variant::Nft, Variant::Legacy);
        self.missing_names(&[
            restore(Some(nft)),
            restore(Some(legacy)),
            multi(nft),
            multi(legacy),
            restore(None),
        ])
    }

    fn missing_names(&self, names: &[String]) -> String {
        let folders: Vec<_> = (self.folders.iter())
            .map(|folder| folder.display().to_string())
            .collect();
        format!(
            "none of the programs {} is in one of {}: install the package iptables",
            names.join(", "),
            folders.join(", ")
        )
    }
}

fn multi(variant: Variant) -> String {
    format!("xtables-{}-multi", variant.suffix())
}

fn is_program(path: &Path) -> bool {
    let about = path.metadata();
    about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
