//! Reads and writes the IPVS table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Instant;

use ipvs::client::{self, Client, ErrorKind, ReadError, Request, TableEntry};
use ipvs::{Connections, Protocol, RealServerKey, VirtualServerKey};
use model::kernel::Errno;
use model::tables::RealServers;
use model::{Selection, Snapshot, VirtualServerEntry};
use tracing::warn;

use super::READINGS;
use super::batch::Batch;
use super::failure::op_error;
use super::modules::{self, ModulePolicy};
use super::schedulers::{Modprobe, Refusal, Schedulers};
use super::stop::StopSignal;
use crate::error::{ModprobeError, OpenError};
use model::kernel::{ObserveError, OpError, OpErrorKind, OpOutcome};

const WHAT: &str = "the IPVS table";

/// The IPVS table of one network namespace.
///
/// If another program writes during a list, the list may lack an existing entry without any sign.
/// Two consecutive lists may lack the same entry, because it is at the end of a datagram (seen on
/// Linux 6.1 beside a writer that deletes and adds entries). Two facts reveal it: a virtual server
/// that is added again appears at another place of the list, and a lookup of one key is always
/// correct.
pub(super) struct VirtualServers {
    client: Client,
    /// Number of the netlink family for which `known` and `schedulers` are valid.
    family: u16,
    policy: ModulePolicy,
    /// Keys that existed according to the last answers. A list that lacks one of them is treated as
    /// torn.
    known: BTreeSet<VirtualServerKey>,
    schedulers: Schedulers,
    stop: StopSignal,
}

impl VirtualServers {
    pub(super) fn open(policy: ModulePolicy) -> Result<Self, OpenError> {
        let client = match (Client::open(), policy) {
            (Err(client::OpenError::NoFamily), ModulePolicy::DoNotLoad) => {
                return Err(no_module(None));
            }
            (Err(client::OpenError::NoFamily), ModulePolicy::Load) => load_and_open()?,
            (opened, _) => opened.map_err(failed)?,
        };
        let mut table = Self {
            family: client.family_id(),
            client,
            policy,
            known: BTreeSet::new(),
            schedulers: Schedulers::new(policy),
            stop: StopSignal::default(),
        };
        // Every process can see the family. Only a request shows whether it may be used.
        match table.client.info() {
            Ok(_) => Ok(table),
            Err(error) if error.kind() == ErrorKind::NotPermitted => Err(OpenError::NotPermitted {
                source: Errno(libc::EPERM),
            }),
            Err(error) => Err(failed(error)),
        }
    }

    /// Sets the stop signal. Once it is set, readings end before their next list, and programs are
    /// killed.
    pub(super) fn set_stop(&mut self, stop: StopSignal) {
        self.client.set_interrupt(stop.flag());
        self.stop = stop;
    }

    /// Adds the virtual servers of `selection` to `snapshot`. Marks it as torn if other programs
    /// wrote during each of several readings.
    pub(super) fn observe(
        &mut self,
        selection: &Selection,
        snapshot: &mut Snapshot,
    ) -> Result<(), ObserveError> {
        for _ in 0..READINGS {
            let reading = self.loading(|table| table.read(selection))?;
            self.known.extend(reading.virtual_servers.keys());
            snapshot.tables.virtual_servers = reading.virtual_servers;
            snapshot.connections = reading.connections;
            snapshot.torn = reading.torn;
            if !snapshot.torn {
                break;
            }
        }
        Ok(())
    }

    /// Reads once. A list of all virtual servers is compared with the known keys.
    fn read(&mut self, selection: &Selection) -> Result<Reading, ReadError> {
        let mut reading = Reading::default();
        let torn = match selection {
            Selection::All => self.client.each_entry(|entry| reading.add(entry))?,
            Selection::WithoutRealServers => {
                self.client.each_virtual_server(|server, statistics| {
                    reading.add(TableEntry {
                        server,
                        statistics,
                        real_servers: Vec::new(),
                    });
                })?;
                false
            }
            Selection::Only(keys) => {
                let keys: Vec<VirtualServerKey> = keys.iter().copied().collect();
                (self.client).each_entry_of(&keys, |entry| reading.add(entry))?
            }
        };
        reading.torn |= torn;
        if !reading.torn && !matches!(selection, Selection::Only(_)) {
            reading.torn = self.lacks_known(&reading)?;
        }
        Ok(reading)
    }

    /// Returns true if IPVS was built without IPv6, which makes a lookup of an IPv6 key fail with
    /// `EAFNOSUPPORT` (`ip_vs_genl_parse_service`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1).
    pub(super) fn lacks_ipv6(&mut self) -> bool {
        let key = VirtualServerKey::Address {
            address: Ipv6Addr::LOCALHOST.into(),
            port: 1,
            protocol: Protocol::Tcp,
        };
        let answer = self.client.virtual_server(&key);
        answer.is_err_and(|error| error.kind() == ErrorKind::Other(libc::EAFNOSUPPORT))
    }

    /// Adds the idle timeouts to `snapshot`.
    pub(super) fn observe_timeouts(&mut self, snapshot: &mut Snapshot) -> Result<(), ObserveError> {
        snapshot.tables.timeouts = self.loading(|table| table.client.timeouts())?;
        Ok(())
    }

    /// Adds the synchronisation daemons to `snapshot`.
    pub(super) fn observe_sync_daemons(
        &mut self,
        snapshot: &mut Snapshot,
    ) -> Result<(), ObserveError> {
        let daemons = self.loading(|table| table.client.sync_daemons())?;
        let daemons = daemons.into_iter().map(|daemon| (daemon.role, daemon));
        snapshot.tables.sync_daemons = daemons.collect();
        Ok(())
    }

    /// Reads, and retries once if the module `ip_vs` was unloaded and may be loaded.
    fn loading<R>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<R, ReadError>,
    ) -> Result<R, ObserveError> {
        let mut reading = read(self);
        if let (Err(error), ModulePolicy::Load) = (&reading, self.policy)
            && error.kind() == ErrorKind::NoFamily
        {
            modules::modprobe(modules::MODULE, &self.stop).map_err(|error| {
                ObserveError::Failed {
                    what: WHAT,
                    source: Box::new(no_module(Some(error))),
                }
            })?;
            reading = read(self);
        }
        self.notice_reload();
        reading.map_err(unreadable)
    }

    /// Discards the known keys and schedulers if the module `ip_vs` was unloaded.
    fn notice_reload(&mut self) {
        let family = self.client.family_id();
        if family != self.family {
            warn!("the module ip_vs was loaded again: the IPVS table is empty and is written anew");
            self.family = family;
            self.known.clear();
            self.schedulers = Schedulers::new(self.policy);
        }
    }

    /// Returns true if a list of all virtual servers lacks an existing one. Keys of deleted virtual
    /// servers are forgotten.
    fn lacks_known(&mut self, reading: &Reading) -> Result<bool, ReadError> {
        let missing: Vec<_> = (self.known.iter().copied())
            .filter(|key| !reading.virtual_servers.contains_key(key))
            .collect();
        let mut lacks = false;
        for (key, found) in missing
            .iter()
            .zip(self.client.virtual_servers_of(&missing)?)
        {
            if found.is_some() {
                lacks = true;
            } else {
                self.known.remove(key);
            }
        }
        Ok(lacks)
    }

    /// Applies consecutive IPVS changes of a stage.
    pub(super) fn apply(&mut self, batch: &Batch<'_, Request>) -> Vec<OpOutcome> {
        let answers = self.schedulers.execute(
            batch.requests(),
            Instant::now(),
            &mut Modprobe(&self.stop),
            |requests| self.client.execute(requests),
            |error| error.kind() == ErrorKind::UnknownScheduler,
        );
        for (answer, request) in answers.iter().zip(batch.requests()) {
            match request {
                Request::NewService(server) if answer.is_ok() => {
                    self.known.insert(server.key);
                }
                Request::DelService(key) if answer.is_ok() => {
                    self.known.remove(key);
                }
                _ => {}
            }
        }
        self.notice_reload();
        batch.outcomes(answers, |op, refusal| match &refusal {
            Refusal::Kernel(error) => match error.failure() {
                Some(failure) => op_error(op, failure),
                None => OpError::new(op.clone(), OpErrorKind::NoIpvs, None),
            },
            Refusal::NoScheduler => crate::errno::op_error(op.clone(), Errno(libc::ENOENT)),
        })
    }
}

fn load_and_open() -> Result<Client, OpenError> {
    modules::modprobe(modules::MODULE, &StopSignal::default())
        .map_err(|error| no_module(Some(error)))?;
    Client::open().map_err(|error| match error {
        client::OpenError::NoFamily => {
            let module = modules::MODULE.to_owned();
            no_module(Some(ModprobeError::Useless { module }))
        }
        error => failed(error),
    })
}

pub(super) fn no_module(source: Option<ModprobeError>) -> OpenError {
    OpenError::NoModule {
        release: modules::kernel_release(),
        source,
    }
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Failed {
        source: Box::new(error),
    }
}

pub(super) fn unreadable(error: ReadError) -> ObserveError {
    let what = WHAT;
    match error.kind() {
        ErrorKind::NotPermitted => ObserveError::NotPermitted {
            what,
            source: Errno(libc::EPERM),
        },
        ErrorKind::Interrupted => ObserveError::Stopping { what },
        _ => ObserveError::Failed {
            what,
            source: Box::new(error),
        },
    }
}

/// The IPVS table as types of the model.
#[derive(Default)]
struct Reading {
    virtual_servers: BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>,
    connections: BTreeMap<(VirtualServerKey, RealServerKey), Connections>,
    /// True if the table changed during the reading: an entry may be missing, or appeared twice.
    torn: bool,
}

impl Reading {
    fn add(&mut self, entry: TableEntry) {
        let key = entry.server.key;
        let count = entry.real_servers.len();
        for status in &entry.real_servers {
            if status.connections != Connections::default() {
                let place = (key, status.server.key);
                self.connections.insert(place, status.connections);
            }
        }
        let real_servers = entry.real_servers.into_iter().map(|status| status.server);
        let real_servers = RealServers::from_iter(real_servers);
        self.torn |= real_servers.len() < count;
        let entry = VirtualServerEntry {
            server: entry.server,
            real_servers,
        };
        self.torn |= self.virtual_servers.insert(key, Arc::new(entry)).is_some();
    }
}
