//! Processes as `/proc` shows them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sources::Environment;

/// Name of kube-ipvsd's process.
const KUBE_IPVSD: &str = "kube-ipvsd";

/// Name of kube-proxy's process.
pub(super) const KUBE_PROXY: &str = "kube-proxy";

/// Maximum length of a file of `/proc` that is read.
const LENGTH: u64 = 4 << 20;

/// A process of a service proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// Name of the program, `kube-ipvsd` or `kube-proxy`.
    pub name: String,
    /// State of the process.
    pub state: State,
    /// The manager that restarts it.
    pub manager: Manager,
}

/// State of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs or sleeps.
    Running,
    /// A signal stopped it (`SIGSTOP`), or a debugger holds it.
    Stopped,
}

/// Manager of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The kubelet: the process runs in a pod.
    Kubelet,
    /// systemd, with the name of the unit.
    Systemd(String),
    /// Another one.
    Unknown,
}

/// Returns the service proxies of root or this user in this network namespace, ordered by process
/// id.
pub(super) fn all(proc: &Path) -> Vec<ProcessFacts> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    let user = owner(&proc.join("self"));
    let network = network(&proc.join("self"));
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut found: Vec<ProcessFacts> = pids
        .filter(|pid: &u32| {
            let folder = proc.join(pid.to_string());
            let here = self::network(&folder);
            let own = owner(&folder).is_some_and(|owner| owner == 0 || Some(owner) == user);
            own && here.is_some() && here == network
        })
        .filter_map(|pid| facts(proc, pid))
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

fn facts(proc: &Path, pid: u32) -> Option<ProcessFacts> {
    let name = read(proc, pid, "comm")?;
    let name = name.trim_end();
    if ![KUBE_IPVSD, KUBE_PROXY].contains(&name) {
        return None;
    }
    let stat = read(proc, pid, "stat")?;
    // The name before the state may contain any character.
    let (_, rest) = stat.rsplit_once(')')?;
    let state = match rest.trim_start().chars().next()? {
        'Z' | 'X' => return None,
        'T' | 't' => State::Stopped,
        _ => State::Running,
    };
    Some(ProcessFacts {
        pid,
        name: name.to_owned(),
        state,
        manager: manager(&read(proc, pid, "cgroup").unwrap_or_default()),
    })
}

/// Returns the manager that the control groups of a process belong to.
fn manager(groups: &str) -> Manager {
    if groups.contains("kubepods") {
        return Manager::Kubelet;
    }
    let parts = groups.lines().flat_map(|line| line.split('/'));
    let is_name = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte))
    };
    let mut units = parts.filter(|part| part.ends_with(".service") && is_name(part));
    // A unit of a user is below that of the user's session, so the last one is meant.
    match units.next_back() {
        Some(unit) => Manager::Systemd(unit.to_owned()),
        None => Manager::Unknown,
    }
}

/// Returns the command line of a process; `None` if it has ended.
pub(super) fn arguments(proc: &Path, pid: u32) -> Option<Vec<OsString>> {
    let bytes = read_bytes(proc, pid, "cmdline")?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    let words = bytes.split(|byte| *byte == 0);
    Some(
        words
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect(),
    )
}

/// Returns the environment of a process. Parts that cannot be read are left out.
pub(super) fn environment(proc: &Path, pid: u32) -> Environment {
    let folder = proc.join(pid.to_string());
    let root = folder.join("root");
    let same = fs::metadata(&root).ok().zip(fs::metadata("/").ok());
    let same = same.is_some_and(|(root, own)| (root.dev(), root.ino()) == (own.dev(), own.ino()));
    let bytes = read_bytes(proc, pid, "environ").unwrap_or_default();
    let variables: BTreeMap<String, String> = (bytes.split(|byte| *byte == 0))
        .filter_map(|text| std::str::from_utf8(text).ok()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Environment::of_process(
        if same { PathBuf::from("/") } else { root },
        fs::read_link(folder.join("cwd")).unwrap_or_else(|_| "/".into()),
        variables,
    )
}

/// Reads the regular file at `path`, of at most `length` bytes.
pub(super) fn read_file(path: &Path, length: u64) -> io::Result<String> {
    // A pipe would block, and a device may have no end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let read = File::open(path)?
        .take(length + 1)
        .read_to_string(&mut text)?;
    if read as u64 > length {
        return Err(io::Error::other(format!(
            "it is longer than {length} bytes"
        )));
    }
    Ok(text)
}

fn read(proc: &Path, pid: u32, name: &str) -> Option<String> {
    let bytes = read_bytes(proc, pid, name)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_bytes(proc: &Path, pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(proc.join(pid.to_string()).join(name)).ok()?;
    file.take(LENGTH).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn owner(folder: &Path) -> Option<u32> {
    fs::metadata(folder).ok().map(|folder| folder.uid())
}

/// Identifies the network namespace of a process by its `net`: the inodes of its files differ
/// between namespaces (`net->proc_net`, `fs/proc/proc_net.c`, Linux 6.1). `ns/net` would need
/// `CAP_SYS_PTRACE` for processes with more rights.
fn network(folder: &Path) -> Option<u64> {
    fs::metadata(folder.join("net/dev"))
        .ok()
        .map(|file| file.ino())
}
