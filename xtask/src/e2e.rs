//! `cargo xtask e2e`: runs the tests that send packets, on a chosen kernel.

use clap::Args;
use std::path::PathBuf;

use crate::error::Result;
use crate::project::Project;
use crate::test;
use crate::vm::{Backend, VmSpec, next_kernel};

/// Test programs that send packets, and those that check the kernel contract.
const TARGETS: [&str; 9] = [
    "linux_contract",
    "linux_rules",
    "linux_sysctls",
    "linux_udp_flows",
    "linux_address_watch",
    "rendered",
    "takeover",
    "e2e",
    "node",
];

/// `cargo xtask e2e …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask e2e                              on User-Mode Linux, with legacy iptables
  cargo xtask e2e --backend qemu               on Debian's cloud kernel, with iptables-nft
  cargo xtask e2e --next-kernel                on the kernel of the next Debian suite
  cargo xtask e2e --target node -- matrix      one test program, some of its cases")]
pub(crate) struct Arguments {
    /// Kernel of the VM
    #[arg(long, value_enum, default_value_t = Backend::Uml)]
    backend: Backend,
    /// A Debian kernel package to boot in QEMU
    #[arg(long, value_name = "DEB")]
    kernel: Option<PathBuf>,
    /// Boot the cloud kernel of the next Debian suite in QEMU
    #[arg(long, conflicts_with = "kernel")]
    next_kernel: bool,
    /// Run only the test programs of this name
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Arguments for the test programs
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs the tests. The exit status is 1 if any test failed.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let mut spec = VmSpec::new("", Vec::new());
    spec.backend = arguments.backend;
    spec.kernel.clone_from(&arguments.kernel);
    if arguments.next_kernel {
        spec.kernel = Some(next_kernel::package(project)?);
    }
    if spec.kernel.is_some() {
        spec.backend = Backend::Qemu;
    }
    let targets = if arguments.target.is_empty() {
        TARGETS.map(str::to_owned).to_vec()
    } else {
        arguments.target.clone()
    };
    test::vm_targets(project, &spec, &targets, &arguments.arguments)
}
