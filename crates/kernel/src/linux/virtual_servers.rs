//! The IPVS table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipvs::client::{self, Client, ErrorKind, ReadError, Request, Table, TableEntry};
use ipvs::{Connections, RealServerKey, VirtualServerKey};
use model::tables::RealServers;
use model::{Op, Selection, Snapshot, VirtualServerEntry};
use netlink::Errno;

use super::READINGS;
use super::failure::op_error;
use super::modules::{self, ModulePolicy, Schedulers};
use crate::error::{ModprobeError, ObserveError, OpenError};
use crate::seam::OpOutcome;

/// The IPVS table of one network namespace.
///
/// A list of the kernel that another writer disturbs may lack an entry that exists, with no sign; and
/// two lists may lack the same one, for it stands where a datagram ends: seen on Linux 6.1 beside a
/// writer that deletes and adds again. What shows it: a virtual server that is added again stands at
/// another place of the list, and a question about one key has a true answer.
pub(super) struct VirtualServers {
    client: Client,
    /// Keys that existed when last heard of. A list that lacks one is not believed.
    known: BTreeSet<VirtualServerKey>,
    schedulers: Schedulers,
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
            client,
            known: BTreeSet::new(),
            schedulers: Schedulers::new(policy),
        };
        // The family is shown to everybody; what may be done with it is seen by doing something.
        match table.client.info() {
            Ok(_) => Ok(table),
            Err(error) if error.kind() == ErrorKind::NotPermitted => Err(OpenError::NotPermitted {
                source: Errno(libc::EPERM),
            }),
            Err(error) => Err(failed(error)),
        }
    }

    /// Fills in the virtual servers of `selection`; says "torn" where others wrote during each of
    /// several readings.
    pub(super) fn observe(
        &mut self,
        selection: &Selection,
        snapshot: &mut Snapshot,
    ) -> Result<(), ObserveError> {
        for _ in 0..READINGS {
            let Table { entries, torn } = match selection {
                Selection::All => (self.client.table()).and_then(|table| self.checked(table)),
                Selection::WithoutRealServers => {
                    (self.client.list()).and_then(|list| self.checked(list))
                }
                Selection::Only(keys) => self.client.entries(keys),
            }
            .map_err(unreadable)?;
            self.known.extend(entries.keys());
            let reading = Reading::of(entries);
            snapshot.tables.virtual_servers = reading.virtual_servers;
            snapshot.connections = reading.connections;
            snapshot.torn = torn || reading.doubled;
            if !snapshot.torn {
                break;
            }
        }
        Ok(())
    }

    /// Fills in the idle timeouts.
    pub(super) fn observe_timeouts(&mut self, snapshot: &mut Snapshot) -> Result<(), ObserveError> {
        snapshot.tables.timeouts = self.client.timeouts().map_err(unreadable)?;
        Ok(())
    }

    /// Marks a list of all virtual servers as torn where one is missing that is there.
    fn checked(&mut self, mut table: Table) -> Result<Table, ReadError> {
        if !table.torn {
            let missing: Vec<_> = (self.known.iter().copied())
                .filter(|key| !table.entries.contains_key(key))
                .collect();
            for key in missing {
                if self.client.virtual_server(&key)?.is_some() {
                    table.torn = true;
                } else {
                    self.known.remove(&key);
                }
            }
        }
        Ok(table)
    }

    /// Does the changes of the table that follow each other in a stage.
    pub(super) fn apply(&mut self, ops: &[&Op]) -> Vec<OpOutcome> {
        for op in ops {
            if let Op::AddVirtualServer(server) | Op::SetVirtualServer(server) = op {
                self.schedulers.ready(&server.scheduler);
            }
        }
        let requests: Vec<Request> = ops.iter().filter_map(|op| request(op)).collect();
        let outcomes = self.client.execute(&requests).into_iter();
        outcomes
            .zip(ops)
            .map(|(outcome, op)| {
                match op {
                    Op::AddVirtualServer(server) if outcome.is_ok() => {
                        self.known.insert(server.key);
                    }
                    Op::DelVirtualServer(key) if outcome.is_ok() => {
                        self.known.remove(key);
                    }
                    _ => {}
                }
                outcome.map_err(|error| op_error(op, error.failure()))
            })
            .collect()
    }
}

fn load_and_open() -> Result<Client, OpenError> {
    modules::modprobe(modules::MODULE).map_err(|error| no_module(Some(error)))?;
    Client::open().map_err(|error| match error {
        client::OpenError::NoFamily => {
            let module = modules::MODULE.to_owned();
            no_module(Some(ModprobeError::Useless { module }))
        }
        error => failed(error),
    })
}

fn no_module(source: Option<ModprobeError>) -> OpenError {
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
    let what = "the IPVS table";
    match error.kind() {
        ErrorKind::NotPermitted => ObserveError::NotPermitted {
            what,
            source: Errno(libc::EPERM),
        },
        _ => ObserveError::Failed {
            what,
            source: Box::new(error),
        },
    }
}

/// The request that does `op`; none for what is not of the IPVS table.
fn request(op: &Op) -> Option<Request> {
    Some(match op {
        Op::AddVirtualServer(server) => Request::NewService(server.clone()),
        Op::SetVirtualServer(server) => Request::SetService(server.clone()),
        Op::DelVirtualServer(key) => Request::DelService(*key),
        Op::AddRealServer(key, real) => Request::NewDest(*key, *real),
        Op::SetRealServer(key, real) => Request::SetDest(*key, *real),
        Op::DelRealServer(key, real) => Request::DelDest(*key, *real),
        Op::SetTimeouts(timeouts) => Request::SetTimeouts(*timeouts),
        Op::EnsureDevice
        | Op::DelDevice
        | Op::AddAddress(_)
        | Op::DelAddress(_)
        | Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::AddEntry(..)
        | Op::DelEntry(..)
        | Op::DestroySet(_)
        | Op::PatchRules(..)
        | Op::SetSysctl(..) => return None,
    })
}

/// The table in the words of the model.
#[derive(Default)]
struct Reading {
    virtual_servers: BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>,
    connections: BTreeMap<(VirtualServerKey, RealServerKey), Connections>,
    /// A real server was listed twice: the kernel's list changed while it was read.
    doubled: bool,
}

impl Reading {
    fn of(entries: BTreeMap<VirtualServerKey, TableEntry>) -> Self {
        let mut reading = Self::default();
        for (key, entry) in entries {
            let mut real_servers = RealServers::new();
            for status in entry.real_servers {
                let real = status.server;
                if status.connections != Connections::default() {
                    let place = (key, real.key);
                    reading.connections.insert(place, status.connections);
                }
                reading.doubled |= real_servers.insert(real.key, real).is_some();
            }
            let entry = VirtualServerEntry {
                server: entry.server,
                real_servers,
            };
            reading.virtual_servers.insert(key, Arc::new(entry));
        }
        reading
    }
}
