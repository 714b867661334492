//! The parts of an archive for a bug report, and how each is collected.
//!
//! A part is the output of a program, a file or a page of kube-ipvsd. Each has a deadline and a
//! limit of size, and one that cannot be had does not stop the others.

mod collect;
mod secrets;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use self::collect::{Collected, Content, collect};
pub use self::secrets::without_secrets;

/// A part of the archive.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name of its file in the archive.
    pub name: String,
    /// Its content in a few words.
    pub about: &'static str,
    /// Where it comes from.
    pub origin: Origin,
}

/// Origin of a part.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Output of this program with these arguments.
    Ipvsctl(Vec<OsString>),
    /// Output of another program with these arguments, if the node has it.
    Program(&'static str, &'static [&'static str]),
    /// The last bytes of a file.
    File(PathBuf),
    /// This text.
    Text(String),
    /// Page of kube-ipvsd at its metrics address.
    Page(SocketAddr, &'static str),
}

/// Facts that decide which parts there are.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Arguments that name the objects.
    pub source: Vec<OsString>,
    /// Arguments that name the node.
    pub node: Vec<OsString>,
    /// Configuration file of kube-ipvsd.
    pub config: Option<PathBuf>,
    /// Effective configuration as YAML.
    pub configuration: String,
    /// Metrics address of kube-ipvsd.
    pub metrics: Option<SocketAddr>,
    /// Log files.
    pub logs: Vec<PathBuf>,
}

/// Programs of the node, whose output shows what surrounds our tables.
const PROGRAMS: [(&str, &str, &str, &[&str]); 6] = [
    (
        "node/rules4.txt",
        "rules of IPv4 of all programs",
        "iptables-save",
        &[],
    ),
    (
        "node/rules6.txt",
        "rules of IPv6 of all programs",
        "ip6tables-save",
        &[],
    ),
    (
        "node/addresses.txt",
        "interfaces and their addresses",
        "ip",
        &["-s", "address"],
    ),
    (
        "node/routes4.txt",
        "routes of IPv4",
        "ip",
        &["-4", "route", "show", "table", "all"],
    ),
    (
        "node/routes6.txt",
        "routes of IPv6",
        "ip",
        &["-6", "route", "show", "table", "all"],
    ),
    (
        "logs/journal.txt",
        "log of kube-ipvsd in journald",
        "journalctl",
        &[
            "--unit",
            "kube-ipvsd",
            "--lines",
            "20000",
            "--no-pager",
            "--output",
            "short-iso",
        ],
    ),
];

/// Files of the kernel.
const FILES: [(&str, &str); 6] = [
    ("/proc/version", "version of the kernel"),
    ("/proc/modules", "loaded modules"),
    ("/proc/meminfo", "memory of the node"),
    ("/proc/net/ip_vs_stats", "counters of IPVS"),
    (
        "/proc/net/stat/nf_conntrack",
        "counters of the connection tracker",
    ),
    (
        "/proc/sys/net/netfilter/nf_conntrack_count",
        "number of tracked connections",
    ),
];

/// Pages of kube-ipvsd.
const PAGES: [(&str, &str, &str); 8] = [
    (
        "daemon/statusz.json",
        "status of kube-ipvsd",
        "/statusz?format=json",
    ),
    ("daemon/metrics.txt", "metrics of kube-ipvsd", "/metrics"),
    ("daemon/drains.json", "draining real servers", "/drains"),
    (
        "daemon/slowstarts.json",
        "real servers in a slow start",
        "/slowstarts",
    ),
    ("daemon/owners.json", "owners of virtual servers", "/owners"),
    (
        "daemon/healthchecks.json",
        "health checks of endpoints",
        "/healthchecks",
    ),
    (
        "daemon/changes.json",
        "last changes of the tables by kube-ipvsd",
        "/changes",
    ),
    (
        "daemon/proxy-mode.txt",
        "mode of the running proxy",
        "/proxyMode",
    ),
];

/// Returns the parts that `request` asks for.
#[must_use]
pub fn parts(request: &Request) -> Vec<Part> {
    let Request {
        source,
        node,
        config,
        configuration,
        metrics,
        logs,
    } = request;
    let ours = |name: &str, about, words: &str, more: &[&[OsString]]| {
        let words = words.split(' ').map(OsString::from);
        Part {
            name: name.to_owned(),
            about,
            origin: Origin::Ipvsctl(words.chain(more.concat()).collect()),
        }
    };
    let both: &[&[OsString]] = &[source, node];
    let mut parts = vec![
        ours("versions.json", "versions", "version -o json", &[]),
        ours("doctor.txt", "checks of the node", "doctor -o wide", both),
        ours("doctor.json", "checks of the node", "doctor -o json", both),
        ours(
            "diff.txt",
            "difference of desired and live tables",
            "diff",
            both,
        ),
        ours(
            "findings.json",
            "findings about the objects",
            "analyze -o json",
            both,
        ),
        ours(
            "tables.txt",
            "live tables, for ipvsctl diff --live",
            "get tables -o text",
            &[],
        ),
        ours("drains.txt", "draining real servers", "get drains", &[]),
        ours(
            "node-state.yaml",
            "interfaces, kernel, processors, TCP keepalive",
            "get node-state -o yaml",
            &[],
        ),
    ];
    parts.push(Part {
        name: "configuration.yaml".to_owned(),
        about: "effective configuration",
        origin: Origin::Text(configuration.clone()),
    });
    let file = |name: String, about, path: &Path| Part {
        name,
        about,
        origin: Origin::File(path.to_owned()),
    };
    parts.extend(config.as_deref().map(|path| {
        file(
            "configuration-file.yaml".to_owned(),
            "configuration file",
            path,
        )
    }));
    parts.extend(PAGES.iter().filter_map(|(name, about, path)| {
        Some(Part {
            name: (*name).to_owned(),
            about,
            origin: Origin::Page((*metrics)?, path),
        })
    }));
    parts.extend(FILES.iter().map(|(path, about)| {
        file(
            format!(
                "kernel/{}",
                path.trim_start_matches("/proc/").replace('/', "-")
            ),
            about,
            Path::new(path),
        )
    }));
    parts.extend(PROGRAMS.iter().map(|(name, about, program, args)| Part {
        name: (*name).to_owned(),
        about,
        origin: Origin::Program(program, args),
    }));
    parts.extend(logs.iter().enumerate().map(|(index, path)| {
        file(
            format!("logs/{index}-{}", base_name(path)),
            "log file",
            path,
        )
    }));
    parts
}

fn base_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
