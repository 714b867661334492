//! The contract suite on Linux, with each case in a separate network namespace.

mod vm;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;

use kernel::contract::{ContractKernel, cases};
use kernel::{Kernel, LinuxKernel, ObserveError, OpOutcome};
use libtest_mimic::{Arguments, Trial};
use model::{Scope, Snapshot, Stage};
use support::namespace::in_namespace;

struct Linux(LinuxKernel);

impl Kernel for Linux {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        self.0.observe(scope)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        self.0.apply(stage)
    }
}

impl ContractKernel for Linux {
    fn send_datagram(&mut self, to: SocketAddr) {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let sent = UdpSocket::bind((any, 0)).and_then(|socket| socket.send_to(b"hello", to));
        sent.unwrap_or_else(|error| panic!("failed to send to {to}: {error}"));
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = cases().into_iter().map(|(name, case)| {
        Trial::test(name, move || {
            in_namespace(|| case(&mut Linux(vm::open())));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
