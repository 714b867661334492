//! Changes that Linux refuses, and their errors.

mod vm;

use std::error::Error as _;
use std::net::Ipv4Addr;

use kernel::{Kernel as _, LinuxKernel, ModulePolicy, ObserveError, OpErrorKind, OpenError};
use model::{DEVICE, Op, Scope};

use support::namespace::{drop_capabilities, in_namespace};
use vm::{apply, do_all, make_bridge, open, server, stage, tcp};

#[test]
fn opening_without_cap_net_admin_names_the_capability() {
    in_namespace(|| {
        drop(open());
        drop_capabilities();
        let error =
            LinuxKernel::open(ModulePolicy::DoNotLoad).expect_err("the capability is missing");
        assert!(matches!(error, OpenError::NotPermitted { .. }), "{error:?}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    });
}

#[test]
fn changes_and_readings_without_cap_net_admin_are_not_permitted() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        drop_capabilities();
        let vip = Ipv4Addr::new(10, 96, 0, 10);
        let ops = [
            Op::AddVirtualServer(server(tcp(vip, 80), "rr")),
            Op::AddAddress(vip.into()),
            Op::DelDevice,
        ];
        let wanted = vec![Some(OpErrorKind::NotPermitted); ops.len()];
        assert_eq!(apply(&mut kernel, ops), wanted);
        let error = kernel
            .observe(&Scope::EVERYTHING)
            .expect_err("the capability is missing");
        assert!(
            matches!(error, ObserveError::NotPermitted { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    });
}

#[test]
fn an_unknown_scheduler_is_named_with_the_module_to_load() {
    in_namespace(|| {
        let mut kernel = open();
        let key = tcp(Ipv4Addr::new(10, 96, 0, 10), 80);
        let outcomes = kernel.apply(&stage([Op::AddVirtualServer(server(key, "nonesuch"))]));
        let error = outcomes[0]
            .as_ref()
            .expect_err("the scheduler does not exist");
        assert_eq!(
            error.to_string(),
            "failed to add virtual server 10.96.0.10:80/TCP"
        );
        let cause = error.source().expect("a cause").to_string();
        assert!(cause.contains("modprobe ip_vs_nonesuch"), "{cause}");
    });
}

#[test]
fn a_foreign_device_with_the_name_is_refused_and_unchanged() {
    in_namespace(|| {
        let mut kernel = open();
        make_bridge(DEVICE);
        let not_dummy = Some(OpErrorKind::NotDummy);
        let ops = [
            Op::EnsureDevice,
            Op::AddAddress(Ipv4Addr::new(10, 96, 0, 10).into()),
            Op::DelDevice,
        ];
        assert_eq!(apply(&mut kernel, ops), vec![not_dummy; 3]);
        match kernel.observe(&Scope::EVERYTHING) {
            Err(ObserveError::NotDummy { kind }) => assert_eq!(kind, "bridge"),
            other => panic!("{other:?}"),
        }
    });
}
