use std::collections::BTreeSet;

use ipset::text::print_create;
use ipvs::AddressFamily;

use super::{MIN_ELEMENTS, SetKind};

fn check(kind: SetKind, family: AddressFamily, entries: usize, expected: &str) {
    let line = print_create(&kind.name(family), &kind.header(family, entries));
    assert_eq!(line, format!("create {expected}"));
}

#[test]
fn a_set_is_sized_to_what_it_holds() {
    let cluster_ips = |entries, maxelem: u32| {
        let expected = format!("KUBE-CLUSTER-IP hash:ip,port family inet maxelem {maxelem}");
        check(SetKind::ClusterIp, AddressFamily::Ipv4, entries, &expected);
    };
    cluster_ips(0, MIN_ELEMENTS);
    cluster_ips(65_536, 65_536);
    cluster_ips(65_537, 131_072);
    cluster_ips(131_072, 131_072);
    cluster_ips(450_000, 524_288);
    cluster_ips(usize::MAX, u32::MAX);
}

#[test]
fn a_bitmap_holds_every_port() {
    let expected = "KUBE-NODE-PORT-TCP bitmap:port range 0-65535";
    check(SetKind::NodePortTcp, AddressFamily::Ipv4, 70_000, expected);
}

#[test]
fn long_names_are_cut_as_kube_proxy_cuts_them() {
    let family = AddressFamily::Ipv6;
    let cidr = "KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6 maxelem 65536";
    check(SetKind::LoadBalancerSourceCidr, family, 0, cidr);
    let sctp = "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS hash:ip,port family inet6 maxelem 65536";
    check(SetKind::NodePortLocalSctp, family, 0, sctp);
}

#[test]
fn no_two_sets_share_a_name() {
    let names: BTreeSet<_> = [AddressFamily::Ipv4, AddressFamily::Ipv6]
        .into_iter()
        .flat_map(|family| SetKind::ALL.map(|kind| kind.name(family)))
        .collect();
    assert_eq!(names.len(), 36);
}
