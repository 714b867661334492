use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr};

use ipvs::{Protocol, RealServerKey, VirtualServerKey};
use model::Op;
use model::kernel::{Errno, OpError, OpErrorKind};

use super::{ModprobeError, OpenError};
use crate::errno::{errno_of, op_error};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
const KEY: VirtualServerKey = VirtualServerKey::Address {
    address: VIP,
    port: 80,
    protocol: Protocol::Tcp,
};

fn del_real() -> Op {
    let real = RealServerKey {
        address: Ipv4Addr::new(10, 1, 2, 3).into(),
        port: 8080,
    };
    Op::DelRealServer(KEY, real)
}

fn check(op: Op, errno: i32, kind: &OpErrorKind, text: [&str; 2]) {
    let error = op_error(op, Errno(errno));
    assert_eq!(error.kind(), kind);
    assert_eq!(error.errno(), Some(Errno(errno)));
    let source = error.source().expect("a cause").to_string();
    assert_eq!([error.to_string(), source], text);
}

#[test]
fn the_meaning_of_an_errno_depends_on_its_op() {
    check(
        del_real(),
        libc::ENOENT,
        &OpErrorKind::NoSuchRealServer,
        [
            "failed to delete real server 10.1.2.3:8080 of 10.96.0.10:80/TCP",
            "the virtual server has no such real server: No such file or directory (os error 2)",
        ],
    );
    check(
        del_real(),
        libc::ESRCH,
        &OpErrorKind::NoSuchVirtualServer,
        [
            "failed to delete real server 10.1.2.3:8080 of 10.96.0.10:80/TCP",
            "there is no such virtual server: No such process (os error 3)",
        ],
    );
    check(
        Op::DelAddress(VIP),
        libc::ESRCH,
        &OpErrorKind::Other(Errno(libc::ESRCH)),
        [
            "failed to delete address 10.96.0.10 from kube-ipvs0",
            "No such process (os error 3)",
        ],
    );
    let v6 = IpAddr::V6("fd00::10".parse().expect("an address"));
    check(
        Op::AddAddress(v6),
        libc::EACCES,
        &OpErrorKind::Ipv6Disabled,
        [
            "failed to add address fd00::10 to kube-ipvs0",
            "IPv6 is disabled on kube-ipvs0: set net.ipv6.conf.kube-ipvs0.disable_ipv6 = 0, or use Services \
             without IPv6: Permission denied (os error 13)",
        ],
    );
    check(
        Op::AddAddress(v6),
        libc::EPERM,
        &OpErrorKind::NotPermitted,
        [
            "failed to add address fd00::10 to kube-ipvs0",
            "not permitted, CAP_NET_ADMIN is missing: Operation not permitted (os error 1)",
        ],
    );
    check(
        Op::DelAddress(VIP),
        libc::EADDRNOTAVAIL,
        &OpErrorKind::NoSuchAddress,
        [
            "failed to delete address 10.96.0.10 from kube-ipvs0",
            "kube-ipvs0 has no such address: Cannot assign requested address (os error 99)",
        ],
    );
}

#[test]
fn the_kernels_message_is_kept() {
    let errno = Errno(libc::EINVAL);
    let message = Some("ipv6: Invalid address".to_owned());
    let error = op_error(Op::AddAddress(VIP), errno).with_message(message);
    assert_eq!(
        error.source().expect("a cause").to_string(),
        "the kernel does not accept these settings: Invalid argument (os error 22) \
         (ipv6: Invalid address)"
    );
}

#[test]
fn a_lost_answer_has_no_errno() {
    let error = OpError::new(del_real(), OpErrorKind::Unknown, None);
    assert_eq!(errno_of(&OpErrorKind::Unknown), None);
    assert_eq!(
        error.source().expect("a cause").to_string(),
        "the kernel's answer was lost, the outcome is not known"
    );
}

#[test]
fn a_missing_module_is_named_with_its_remedy() {
    let error = OpenError::NoModule {
        release: "6.1.0-40-cloud-amd64".into(),
        source: Some(ModprobeError::Failed {
            module: "ip_vs".into(),
            message: "FATAL: Module ip_vs not found".into(),
        }),
    };
    assert_eq!(
        error.to_string(),
        "the kernel has no IPVS: load its module (modprobe ip_vs); where there is none, install the \
         distribution's package of kernel modules for 6.1.0-40-cloud-amd64, or a kernel built with \
         CONFIG_IP_VS"
    );
    assert_eq!(
        error.source().expect("a cause").to_string(),
        "modprobe ip_vs failed: FATAL: Module ip_vs not found"
    );
}
