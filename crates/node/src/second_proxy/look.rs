//! Checks the node for signs of a second proxy: listeners, processes, nftables tables.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use ipvs::AddressFamily;
use kernel::linux::leftovers::nft_tables;
use model::config::{HEALTHZ_PORT, METRICS_PORT};
use model::leftovers::{NFT_TABLE, nft_family};
use procfs::process::{FDTarget, Process, all_processes};
use sources::config::DaemonSettings;
use sources::proxy::{self, Identity};

use super::Sign;

/// kube-proxy's ports for metrics and health.
const PORTS: [u16; 2] = [METRICS_PORT, HEALTHZ_PORT];

/// Name of kube-proxy's process.
const KUBE_PROXY: &str = "kube-proxy";

/// Maximum number of queried listeners. Each query may take seconds.
const MOST_ASKED: usize = 8;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the tables of the nftables mode that existed before, which are not a sign.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Tables that have existed since the first check; `None` before it.
    old_tables: Option<BTreeSet<AddressFamily>>,
}

/// Returns kube-proxy's default ports and the ports in `settings`, since kube-proxy may use the
/// same configuration file.
pub(super) fn ports(settings: &DaemonSettings) -> BTreeSet<u16> {
    let own = [settings.healthz_bind_address, settings.metrics_bind_address];
    let own = own.into_iter().flatten().map(|address| address.port());
    PORTS.into_iter().chain(own).collect()
}

impl Look {
    /// Returns the detected signs with their descriptions, and the checks that failed. Takes at
    /// most a few seconds for each of [`MOST_ASKED`] listeners.
    pub(super) fn look(&mut self, ports: &BTreeSet<u16>) -> Vec<(Sign, Result<String, Error>)> {
        let signs = [
            (Sign::Listener, listener(ports)),
            (Sign::Process, process()),
            (Sign::Table, self.table()),
        ];
        let found = |(sign, found): (Sign, Result<Option<String>, Error>)| {
            found.transpose().map(|found| (sign, found))
        };
        signs.into_iter().filter_map(found).collect()
    }

    fn table(&mut self) -> Result<Option<String>, Error> {
        let tables = nft_tables()?;
        Ok(self.new_tables(&tables).first().map(|family| {
            let family = nft_family(*family);
            format!(
                "table {family} {NFT_TABLE} of kube-proxy's nftables mode was created since kube-ipvsd started"
            )
        }))
    }

    /// Returns the `tables` that were created since the first check.
    pub(super) fn new_tables(
        &mut self,
        tables: &BTreeSet<AddressFamily>,
    ) -> BTreeSet<AddressFamily> {
        let old = self.old_tables.get_or_insert_with(|| tables.clone());
        old.retain(|family| tables.contains(family));
        tables - old
    }
}

/// Queries the processes that listen at `ports`, except this process and processes of users who
/// cannot write the tables.
fn listener(ports: &BTreeSet<u16>) -> Result<Option<String>, Error> {
    let user = fs::metadata("/proc/self")?.uid();
    let mut listeners = proxy::listeners()?;
    listeners.retain(|listener| {
        ports.contains(&listener.address.port()) && [0, user].contains(&listener.user)
    });
    // Read the own sockets last, so that a listener that this process has just opened is excluded
    // too.
    let own = own_sockets()?;
    listeners.retain(|listener| !own.contains(&listener.inode));
    let addresses: BTreeSet<SocketAddr> = (listeners.iter())
        .map(|listener| proxy::reachable(listener.address))
        .collect();
    Ok(addresses.into_iter().take(MOST_ASKED).find_map(answer))
}

/// Returns the inodes of this process's sockets.
fn own_sockets() -> Result<BTreeSet<u64>, Error> {
    let descriptors = Process::myself()?.fd()?;
    let inode = |target| match target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    let targets = descriptors.filter_map(Result::ok).map(|fd| fd.target);
    Ok(targets.filter_map(inode).collect())
}

pub(super) fn answer(address: SocketAddr) -> Option<String> {
    match proxy::identify(address) {
        Identity::Proxy(running) => Some(format!("{running} answers at {address}")),
        Identity::Absent => None,
        Identity::Other(_) => proxy::answers_health(address)
            .then(|| format!("a service proxy answers at {address} as its health server")),
    }
}

/// Searches for a process of root named kube-proxy in this network namespace. Processes in other
/// namespaces write other tables.
fn process() -> Result<Option<String>, Error> {
    let here = network("self")?;
    for process in all_processes()?.filter_map(Result::ok) {
        let pid = process.pid().to_string();
        // A process may end at any moment.
        let is_one = fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim_end() == KUBE_PROXY);
        if is_one
            && process.uid().is_ok_and(|user| user == 0)
            && network(&pid).is_ok_and(|network| network == here)
        {
            return Ok(Some(format!("process {pid} on this node is {KUBE_PROXY}")));
        }
    }
    Ok(None)
}

/// Identifies the network namespace of a process by its `/proc/PID/net`: the inodes of its files
/// differ between namespaces (`net->proc_net`, `fs/proc/proc_net.c`, Linux 6.1). `ns/net` would
/// need `CAP_SYS_PTRACE` for processes with more rights.
fn network(pid: &str) -> io::Result<u64> {
    fs::metadata(format!("/proc/{pid}/net/dev")).map(|file| file.ino())
}
