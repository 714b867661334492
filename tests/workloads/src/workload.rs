//! The workloads: each is prepared once, and can then be run repeatedly.

mod change;
mod codec;
mod compile;
mod diff;
mod gate;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::error::Error;
use std::fmt;

use model::ClusterState;

use crate::table;

/// A prepared workload. Every run does the same work, or alternates between the work and its
/// reverse. The caller drops the result outside of the measurement.
pub type Run = Box<dyn FnMut() -> Box<dyn Any>>;

/// Result of the preparation.
pub type Prepared = Result<Run, Box<dyn Error + Send + Sync>>;

/// A measured operation.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Name; sizes are Services x endpoints of each.
    pub name: &'static str,
    /// True if its instructions are counted too. The others do the same work on more Services,
    /// which takes callgrind long.
    pub counted: bool,
    prepare: fn() -> Prepared,
}

impl Workload {
    const fn counted(name: &'static str, prepare: fn() -> Prepared) -> Self {
        Self {
            name,
            counted: true,
            prepare,
        }
    }

    const fn timed(name: &'static str, prepare: fn() -> Prepared) -> Self {
        Self {
            name,
            counted: false,
            prepare,
        }
    }

    /// Creates the input of the workload.
    ///
    /// # Errors
    ///
    /// Its tables cannot be created.
    pub fn prepare(self) -> Prepared {
        (self.prepare)()
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every workload.
pub const ALL: &[Workload] = &[
    Workload::counted("compile/1000x10", || compile::full(1_000)),
    Workload::timed("compile/10000x10", || compile::full(10_000)),
    Workload::counted("compile-change/100x10", || compile::change(100)),
    Workload::counted("compile-change/10000x10", || compile::change(10_000)),
    Workload::counted("compile-change-beside-findings/100x10", || {
        compile::change_beside_findings(100)
    }),
    Workload::counted("compile-change-beside-findings/10000x10", || {
        compile::change_beside_findings(10_000)
    }),
    Workload::counted("compile-interface/100x10", || compile::interface(100)),
    Workload::counted("compile-interface/10000x10", || compile::interface(10_000)),
    Workload::counted("gate/1000", || gate::entries(1_000)),
    Workload::counted("gate/10000", || gate::entries(10_000)),
    Workload::counted("diff-equal/1000x10", || diff::equal(1_000)),
    Workload::timed("diff-equal/10000x10", || diff::equal(10_000)),
    Workload::counted("diff-full/1000x10", || diff::full(1_000)),
    Workload::timed("diff-full/10000x10", || diff::full(10_000)),
    Workload::counted("diff-change/100x10", || diff::change(100)),
    Workload::counted("diff-change/10000x10", || diff::change(10_000)),
    Workload::counted("encode-virtual-servers/1000", codec::encode_virtual_servers),
    Workload::counted("encode-real-servers/1000x10", codec::encode_real_servers),
    Workload::counted("encode-set-entries/1000x10", codec::encode_set_entries),
    Workload::counted("decode-virtual-servers/1000", codec::decode_virtual_servers),
    Workload::counted("decode-real-servers/1000x10", codec::decode_real_servers),
];

/// Number of endpoints of each Service.
const ENDPOINTS: u32 = 10;

fn cluster(services: u32) -> Result<ClusterState, Box<dyn Error + Send + Sync>> {
    table::cluster(services, ENDPOINTS)
}
