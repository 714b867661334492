//! The contract suite on the kernel in memory.

use std::net::SocketAddr;
use std::process::ExitCode;

use ipvs::{Protocol, VirtualServerKey};
use kernel::contract::{ContractKernel, cases};
use kernel::{Kernel, MemoryKernel, ObserveError, OpOutcome};
use libtest_mimic::{Arguments, Trial};
use model::{Scope, Snapshot, Stage};

struct Memory(MemoryKernel);

impl Kernel for Memory {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        self.0.observe(scope)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        self.0.apply(stage)
    }
}

impl ContractKernel for Memory {
    fn send_datagram(&mut self, to: SocketAddr) {
        let key = VirtualServerKey::Address {
            address: to.ip(),
            port: to.port(),
            protocol: Protocol::Udp,
        };
        assert!(self.0.connect(key).is_some(), "{to} is not served");
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = cases().into_iter().map(|(name, case)| {
        Trial::test(name, move || {
            case(&mut Memory(MemoryKernel::new()));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
