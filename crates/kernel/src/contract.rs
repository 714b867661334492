//! The kernel contract as named test cases, which run on [`crate::memory`] everywhere and on
//! [`crate::linux`] in a VM. `docs/kernel-contract.md` lists the cases with the facts behind them.
//!
//! Each case gets an empty kernel, like a fresh network namespace whose `lo` is up. It panics if
//! the kernel violates the contract.

mod addresses;
pub mod builders;
mod filter_state;
mod readings;
mod real_servers;
mod stages;
mod sync_daemons;
mod virtual_servers;

use std::net::SocketAddr;

use ipvs::Protocol;
use model::kernel::Kernel;

use crate::memory::MemoryKernel;

/// A kernel with the additional actions that cases need.
pub trait ContractKernel: Kernel {
    /// Sends one datagram from a client on this node, with its own port, to `to`.
    fn send_datagram(&mut self, to: SocketAddr);
}

impl ContractKernel for MemoryKernel {
    fn send_datagram(&mut self, to: SocketAddr) {
        let key = builders::key(to.ip(), to.port(), Protocol::Udp);
        assert!(self.connect(key).is_some(), "{to} is not served");
    }
}

/// A case: its name and its check.
pub type Case = (&'static str, fn(&mut dyn ContractKernel));

/// Returns all cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        virtual_servers::CASES,
        real_servers::CASES,
        addresses::CASES,
        filter_state::CASES,
        stages::CASES,
        sync_daemons::CASES,
        readings::CASES,
    ]
    .concat()
}

/// Defines the table of cases from functions, named after the functions.
macro_rules! named {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[$crate::contract::Case] = &[$((stringify!($name), $name)),*];
    };
}
use named;
