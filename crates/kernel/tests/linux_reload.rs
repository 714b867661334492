//! The module `ip_vs` unloaded and loaded again under an open kernel. One test: a module is the whole machine's.

mod vm;

use std::error::Error as _;
use std::net::Ipv4Addr;
use std::process::Command;

use ipvs::client::Client;
use kernel::linux::Counters;
use kernel::{Kernel as _, LinuxKernel, ModulePolicy, OpErrorKind};
use model::{Op, Scope, Selection};
use support::namespace::in_namespace;

use vm::{apply, do_all, open, real, server, stage, tcp};

fn tool(line: &str) {
    let mut words = line.split(' ');
    let status = Command::new(words.next().expect("a program"))
        .args(words)
        .status();
    assert!(status.expect("it is there").success(), "{line}");
}

/// Empties the table and unloads all of IPVS.
fn unload() {
    tool("ipvsadm -C");
    tool("modprobe -r ip_vs_rr");
    tool("modprobe -r ip_vs");
}

fn family() -> u16 {
    Client::open().expect("IPVS is there").family_id()
}

fn all() -> Scope {
    Scope {
        virtual_servers: Selection::All,
        settings: true,
        ..Scope::NOTHING
    }
}

fn servers(kernel: &mut LinuxKernel) -> usize {
    let snapshot = kernel.observe(&all()).expect("it can be read");
    assert!(!snapshot.torn);
    snapshot.tables.virtual_servers.len()
}

#[test]
fn a_reloaded_module_is_used_without_opening_the_kernel_again() {
    in_namespace(|| {
        let key = tcp(Ipv4Addr::new(10, 96, 0, 1), 80);
        let backend = real(Ipv4Addr::new(10, 1, 0, 1), 1);
        let ops = || {
            [
                Op::AddVirtualServer(server(key, "rr")),
                Op::AddRealServer(key, backend),
            ]
        };
        let mut kernel = open();
        let mut counters = Counters::open().expect("IPVS is there");
        do_all(&mut kernel, ops());
        assert_eq!(servers(&mut kernel), 1);

        // Writing first.
        let before = family();
        unload();
        tool("modprobe ip_vs");
        assert_ne!(family(), before, "each load gives another number");
        do_all(&mut kernel, ops());
        assert_eq!(servers(&mut kernel), 1);
        assert_eq!(counters.read(|_| true).expect("they are read").len(), 1);

        // Reading first. A key that was known is no sign of a torn reading.
        unload();
        tool("modprobe ip_vs");
        assert_eq!(servers(&mut kernel), 0);

        // An unknown scheduler is still one.
        let unknown = apply(&mut kernel, [Op::AddVirtualServer(server(key, "nosuch"))]);
        assert!(
            matches!(&unknown[..], [Some(OpErrorKind::UnknownScheduler(_))]),
            "{unknown:?}"
        );

        // The kernel loads by itself what is asked for, unless it has no program for that.
        let mut other = LinuxKernel::open(ModulePolicy::DoNotLoad).expect("IPVS is there");
        std::fs::write("/proc/sys/kernel/modprobe", "/bin/false").expect("it can be set");
        unload();
        let outcome = other.apply(&stage(ops())).remove(0);
        let error = outcome.expect_err("there is no IPVS");
        assert_eq!(error.kind(), &OpErrorKind::NoIpvs);
        let cause = error.source().expect("a cause").to_string();
        assert_eq!(
            cause,
            "the kernel has no IPVS any more: load its module (modprobe ip_vs)"
        );
        let error = other.observe(&all()).expect_err("there is no IPVS");
        let chain = model::chain(&error);
        let wanted = "failed to read the IPVS table: failed to read virtual servers: the kernel has no IPVS any more: \
                      its module ip_vs was unloaded";
        assert_eq!(chain, wanted);

        // Where that is allowed it is loaded by the next reading.
        assert_eq!(servers(&mut kernel), 0);
        do_all(&mut kernel, ops());
        assert_eq!(servers(&mut kernel), 1);
        assert_eq!(servers(&mut other), 1);
    });
}
