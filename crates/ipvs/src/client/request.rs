//! Requests that change the kernel's state.

use std::fmt;

use crate::codec::attributes::{DaemonAttribute, Nested};
use crate::codec::convert::{
    daemon_attributes, destination_attributes, destination_key_attributes, key_attributes,
    service_attributes, service_request, set_timeouts,
};
use crate::codec::{Command, CommandAttribute, DestinationAttribute, Message};
use crate::types::{
    RealServer, RealServerKey, SyncDaemon, SyncRole, Timeouts, VirtualServer, VirtualServerKey,
};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Add a virtual server.
    NewService(VirtualServer),
    /// Change the settings of an existing virtual server.
    SetService(VirtualServer),
    /// Delete a virtual server with its real servers.
    DelService(VirtualServerKey),
    /// Add a real server.
    NewDest(VirtualServerKey, RealServer),
    /// Change the settings of an existing real server.
    SetDest(VirtualServerKey, RealServer),
    /// Delete a real server.
    DelDest(VirtualServerKey, RealServerKey),
    /// Reset the counters of one virtual server, or of all.
    Zero(Option<VirtualServerKey>),
    /// Delete all virtual servers.
    Flush,
    /// Set the idle timeouts; a zero leaves the kernel's value unchanged.
    SetTimeouts(Timeouts),
    /// Start a synchronisation daemon.
    NewDaemon(SyncDaemon),
    /// Stop the synchronisation daemon of this role. The kernel reads no other attribute
    /// (`ip_vs_genl_del_daemon`, net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).
    ///
    /// The kernel does not answer if it stops a daemon before its thread ever ran (`kthread_stop`
    /// returns `EINTR`, which netlink does not report; seen on Linux 6.1). The daemon is stopped,
    /// but the outcome is [`Failure::Lost`](netlink::Failure::Lost).
    DelDaemon(SyncRole),
}

impl Request {
    /// Returns the message that is sent.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::NewService(server) => with_service(Command::NewService, server),
            Self::SetService(server) => with_service(Command::SetService, server),
            Self::DelService(key) => service_request(Command::DelService, key),
            Self::NewDest(key, real) => {
                with_destination(Command::NewDestination, key, destination_attributes(real))
            }
            Self::SetDest(key, real) => {
                with_destination(Command::SetDestination, key, destination_attributes(real))
            }
            Self::DelDest(key, real) => with_destination(
                Command::DelDestination,
                key,
                destination_key_attributes(real),
            ),
            Self::Zero(Some(key)) => service_request(Command::Zero, key),
            Self::Zero(None) => Message::new(Command::Zero, Vec::new()),
            Self::Flush => Message::new(Command::Flush, Vec::new()),
            Self::SetTimeouts(timeouts) => set_timeouts(timeouts),
            Self::NewDaemon(daemon) => with_daemon(Command::NewDaemon, daemon_attributes(daemon)),
            Self::DelDaemon(role) => {
                let role = DaemonAttribute::State(role.number());
                with_daemon(Command::DelDaemon, vec![role])
            }
        }
    }
}

fn with_service(command: Command, server: &VirtualServer) -> Message {
    let service = Nested::new(service_attributes(server));
    Message::new(command, vec![CommandAttribute::Service(service)])
}

fn with_destination(
    command: Command,
    key: &VirtualServerKey,
    destination: Vec<DestinationAttribute>,
) -> Message {
    Message::new(
        command,
        vec![
            CommandAttribute::Service(Nested::new(key_attributes(key))),
            CommandAttribute::Destination(Nested::new(destination)),
        ],
    )
}

fn with_daemon(command: Command, daemon: Vec<DaemonAttribute>) -> Message {
    let daemon = Nested::new(daemon);
    Message::new(command, vec![CommandAttribute::Daemon(daemon)])
}

/// Prints the request as errors show it: "add real server 10.1.2.3:8080 to 10.96.0.10:80/TCP".
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewService(server) => write!(f, "add virtual server {}", server.key),
            Self::SetService(server) => write!(f, "change virtual server {}", server.key),
            Self::DelService(key) => write!(f, "delete virtual server {key}"),
            Self::NewDest(key, real) => write!(f, "add real server {} to {key}", real.key),
            Self::SetDest(key, real) => write!(f, "change real server {} of {key}", real.key),
            Self::DelDest(key, real) => write!(f, "delete real server {real} of {key}"),
            Self::Zero(Some(key)) => write!(f, "zero the counters of virtual server {key}"),
            Self::Zero(None) => f.write_str("zero the counters of all virtual servers"),
            Self::Flush => f.write_str("delete all virtual servers"),
            Self::SetTimeouts(_) => f.write_str("set the timeouts"),
            Self::NewDaemon(daemon) => write!(f, "start {daemon}"),
            Self::DelDaemon(role) => write!(f, "stop {role} synchronisation daemon"),
        }
    }
}
