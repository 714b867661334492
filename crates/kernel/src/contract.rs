//! The promises of a kernel, as named cases: run on [`crate::memory`] everywhere and on [`crate::linux`] in a VM.
//! `docs/kernel-contract.md` lists them with the facts behind them.
//!
//! A case takes a kernel with nothing in it, as of a fresh network namespace whose `lo` is up, and
//! panics where the kernel does not keep the promise.

mod addresses;
mod builders;
mod filter_state;
mod readings;
mod real_servers;
mod stages;
mod virtual_servers;

use std::net::SocketAddr;

use model::kernel::Kernel;

/// A kernel, and what a case needs besides.
pub trait ContractKernel: Kernel {
    /// A client on this node sends one datagram to `to`, from a port of its own.
    fn send_datagram(&mut self, to: SocketAddr);
}

/// One promise: its name and its check.
pub type Case = (&'static str, fn(&mut dyn ContractKernel));

/// Every promise.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        virtual_servers::CASES,
        real_servers::CASES,
        addresses::CASES,
        filter_state::CASES,
        stages::CASES,
        readings::CASES,
    ]
    .concat()
}

/// A table of cases from functions, named as they are.
macro_rules! named {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[$crate::contract::Case] = &[$((stringify!($name), $name)),*];
    };
}
use named;
