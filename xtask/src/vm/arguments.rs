//! Converts the command line to a [`VmSpec`].

#[cfg(test)]
mod tests;

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

use super::VmSpec;

/// Kind of kernel to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// User-Mode Linux: a kernel that is a process; boots in two seconds
    Uml,
    /// QEMU with Debian's cloud kernel
    Qemu,
}

/// `cargo xtask vm …`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask vm -- ipvsadm -Ln
  cargo xtask vm -- sh -c 'modprobe ip_vs && cat /proc/net/ip_vs'
  cargo xtask vm --backend qemu -- uname -r
  cargo xtask vm --without-module ip_vs -- target/debug/ipvsctl get servers
  cargo xtask vm                         (the workspace's VM tests)

The command runs as root in the project's root directory, which is there read-only under its own path.
What it writes to the directory $VM_OUT is found in target/vm/out/NAME afterwards.")]
pub(crate) struct Arguments {
    /// Kind of kernel
    #[arg(long, value_enum, default_value_t = Backend::Uml)]
    pub(crate) backend: Backend,
    /// The guest's memory, in K, M or G; a number alone is MiB
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = memory)]
    pub(crate) memory: u64,
    /// Kill the run after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Set an environment variable for the command
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,
    /// Boot a kernel that lacks this module
    #[arg(long, value_name = "MODULE")]
    pub(crate) without_module: Vec<String>,
    /// Copy this file into the guest too (QEMU; UML sees the whole project)
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Vec<PathBuf>,
    /// A Debian kernel package to boot instead of the current cloud kernel (QEMU)
    #[arg(long, value_name = "DEB")]
    pub(crate) kernel: Option<PathBuf>,
    /// Name the log and the exchange directory
    #[arg(long, value_parser = name)]
    pub(crate) name: Option<String>,
    /// Command to run; without it, the workspace's VM tests
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

impl Arguments {
    /// Returns the VM that the arguments describe.
    pub(crate) fn spec(&self) -> VmSpec {
        let name = self.name.clone();
        let name = name.unwrap_or_else(|| format!("vm-{}", std::process::id()));
        let modules = self.without_module.iter();
        VmSpec {
            backend: self.backend,
            memory_mib: self.memory,
            timeout: Duration::from_secs(self.timeout),
            env: self.env.clone(),
            without_modules: modules.map(|module| module.replace('-', "_")).collect(),
            kernel: self.kernel.clone(),
            files: self.file.clone(),
            ..VmSpec::new(name, self.command.clone())
        }
    }
}

fn memory(text: &str) -> Result<u64, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number
        .parse()
        .map_err(|_| "a number with K, M or G is needed, as in 1G".to_owned())?;
    let mib = match unit {
        "" | "M" | "m" => Some(number),
        "G" | "g" => number.checked_mul(1024),
        "K" | "k" => Some(number / 1024),
        _ => return Err(format!("unknown unit {unit:?}: K, M and G are known")),
    };
    mib.filter(|mib| *mib >= 64)
        .ok_or_else(|| "at least 64M is needed".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "NAME=VALUE is needed".to_owned())?;
    let head = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !head || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("{name:?} is not the name of a variable"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.starts_with('.') || !text.chars().all(plain) {
        return Err("letters, digits, '-', '_' and '.' are allowed".to_owned());
    }
    Ok(text.to_owned())
}
