//! Unloads and reloads the module `ip_vs` under an open kernel. This file has one test, because a
//! module belongs to the whole machine.

mod vm;

use std::error::Error as _;
use std::net::Ipv4Addr;

use ipvs::client::Client;
use kernel::linux::Counters;
use kernel::{Kernel as _, LinuxKernel, ModulePolicy, OpErrorKind};
use model::{Op, Scope, Selection};
use support::namespace::in_namespace;
use support::program::run;

use vm::{apply, do_all, open, real, server, stage, tcp};

/// Empties the table and unloads IPVS.
fn unload() {
    run("ipvsadm", "-C", "");
    run("modprobe", "-r ip_vs_rr", "");
    run("modprobe", "-r ip_vs", "");
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
    let snapshot = kernel.observe(&all()).expect("the table can be read");
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

        // The first access is a write.
        let before = family();
        unload();
        run("modprobe", "ip_vs", "");
        assert_ne!(family(), before, "each load assigns another family number");
        do_all(&mut kernel, ops());
        assert_eq!(servers(&mut kernel), 1);
        assert_eq!(
            counters
                .read(|_| true)
                .expect("the counters are read")
                .len(),
            1
        );

        // The first access is a reading. A previously known key must not make it look torn.
        unload();
        run("modprobe", "ip_vs", "");
        assert_eq!(servers(&mut kernel), 0);

        // An unknown scheduler is still reported as such.
        let unknown = apply(&mut kernel, [Op::AddVirtualServer(server(key, "nosuch"))]);
        assert!(
            matches!(&unknown[..], [Some(OpErrorKind::UnknownScheduler(_))]),
            "{unknown:?}"
        );

        // The kernel itself loads the module on request, unless it has no program for that.
        let mut other = LinuxKernel::open(ModulePolicy::DoNotLoad).expect("IPVS is loaded");
        std::fs::write("/proc/sys/kernel/modprobe", "/bin/false")
            .expect("the setting can be written");
        unload();
        let outcome = other.apply(&stage(ops())).remove(0);
        let error = outcome.expect_err("IPVS is unloaded");
        assert_eq!(error.kind(), &OpErrorKind::NoIpvs);
        let cause = error.source().expect("a cause").to_string();
        assert_eq!(
            cause,
            "the kernel no longer has IPVS: load its module (modprobe ip_vs)"
        );
        let error = other.observe(&all()).expect_err("IPVS is unloaded");
        let chain = model::chain(&error);
        let wanted = "failed to read the IPVS table: failed to read virtual servers: the kernel no longer has IPVS: \
                      its module ip_vs was unloaded";
        assert_eq!(chain, wanted);

        // If the policy allows it, the next reading loads the module.
        assert_eq!(servers(&mut kernel), 0);
        do_all(&mut kernel, ops());
        assert_eq!(servers(&mut kernel), 1);
        assert_eq!(servers(&mut other), 1);
    });
}
