//! Kernel behaviour that the design relies on: each case removes something and checks what breaks
//! without it.

use std::net::IpAddr;
use std::time::Duration;

use e2e::{Failure, Family, Knock, LongLived, Outcome, Protocol, ensure, eventually, knock};
use libtest_mimic::Trial;

use crate::cell::Expect::{Listens, Refused, Served, Silence};
use crate::cell::{Cell, Origin, Seen, To, cell};
use crate::objects::{ALONE, AddressKind, EVERYBODY, GUARDED, LOCAL_AWAY, NODE_ONLY, WIDE};
use crate::site::{Site, Undo};
use crate::with_site;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with_site(
            "kernel::a_mark_of_nat_output_is_there_in_filter_output_behind_ipvs",
            mark,
        ),
        with_site(
            "kernel::in_filter_output_the_destination_is_the_real_server",
            destination,
        ),
        with_site(
            "kernel::the_third_part_of_an_entry_is_compared_with_the_destination",
            third_part,
        ),
        with_site(
            "kernel::an_open_connection_of_the_node_outlives_its_admission",
            open_connection,
        ),
        with_site(
            "kernel::without_its_entry_the_node_gets_no_answer_from_elsewhere",
            no_local_endpoint,
        ),
        with_site(
            "kernel::without_the_loop_back_entry_a_pod_does_not_reach_itself",
            loop_back,
        ),
        with_site(
            "kernel::without_the_filter_what_listens_on_the_node_has_all_addresses",
            ipvs_filter,
        ),
        with_site(
            "kernel::bridged_packets_need_bridge_nf_call_iptables",
            bridge,
        ),
        with_site(
            "kernel::without_conntrack_of_ipvs_nothing_is_masqueraded",
            conntrack,
        ),
        with_site("kernel::a_set_of_networks_takes_halves_and_not_all", halves),
    ]
}

const FAMILIES: [(Family, &str, &str); 2] = [
    (Family::V4, "iptables-legacy", "KUBE-"),
    (Family::V6, "ip6tables-legacy", "KUBE-6-"),
];
const ONLY_V4: &[Family] = &[Family::V4];
const ONLY_V6: &[Family] = &[Family::V6];

fn only(cell: Cell, family: Family) -> Cell {
    cell.only(match family {
        Family::V4 => ONLY_V4,
        Family::V6 => ONLY_V6,
    })
}

/// Removes a set entry for each protocol. Dropping the result restores them.
fn without(site: &Site, entry: impl Fn(Protocol) -> String) -> Outcome<Vec<Undo<'_>>> {
    let entries = Protocol::ALL.into_iter().map(entry);
    let each = |entry: String| {
        site.meanwhile(&format!("ipset del {entry}"), &format!("ipset add {entry}"))
    };
    entries.map(each).collect()
}

fn served(from: Origin, to: To) -> Cell {
    cell("", from, to, Served(&[("pod1", Seen::Node)]))
}

fn silent(from: Origin, to: To) -> Cell {
    cell("", from, to, Silence)
}

/// ADR 9. Without the DROP rule the connection is served: only the mark blocks it.
fn mark(site: &Site) -> Outcome {
    let to = To::LoadBalancer(GUARDED);
    for (family, iptables, _) in FAMILIES {
        let rule = "-D KUBE-IPVS-OUT-FILTER -m mark --mark 0x8000/0x8000 -j DROP";
        let before = dropped(site, iptables)?;
        only(silent(Origin::Node, to), family).check(site)?;
        let after = dropped(site, iptables)?;
        // One packet for each protocol; TCP may have sent its packet again.
        ensure(after >= before + 3, || {
            format!("{iptables}: the rule had dropped {before} packets before and {after} after")
        })?;
        let undo = rule.replace("-D", "-A");
        let _undo = site.meanwhile(&format!("{iptables} {rule}"), &format!("{iptables} {undo}"))?;
        only(served(Origin::Node, to), family).check(site)?;
    }
    silent(Origin::Node, to).check(site)
}

/// Returns the number of packets that the rule of `KUBE-IPVS-OUT-FILTER` has dropped.
fn dropped(site: &Site, iptables: &str) -> Outcome<u64> {
    let list = site
        .world
        .tool(&format!("{iptables} -nvxL KUBE-IPVS-OUT-FILTER"))?;
    let rule = list.lines().find(|line| line.contains("DROP"));
    packets(rule, &list)
}

fn packets(line: Option<&str>, list: &str) -> Outcome<u64> {
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
        .ok_or_else(|| Failure::new(format!("the rule is missing in:\n{list}")))
}

/// Shows why table `nat` sets the mark: the filter table sees only the real server in chain OUTPUT.
fn destination(site: &Site) -> Outcome {
    for (family, iptables, _) in FAMILIES {
        let virtual_address = To::LoadBalancer(EVERYBODY)
            .address(family, Protocol::Tcp)
            .ip();
        let real = family.of(&site.world.pods[0]);
        let counter = |address| {
            let rule = format!("OUTPUT -d {address} -p tcp --syn");
            let (add, delete) = (
                format!("{iptables} -A {rule}"),
                format!("{iptables} -D {rule}"),
            );
            site.meanwhile(&add, &delete)
        };
        let _undo = (counter(virtual_address)?, counter(real)?);
        only(served(Origin::Node, To::LoadBalancer(EVERYBODY)), family).check(site)?;
        let list = site.world.tool(&format!("{iptables} -nvxL OUTPUT"))?;
        let count = |address: IpAddr| {
            let address = address.to_string();
            let about = |line: &&str| line.split_ascii_whitespace().any(|word| word == address);
            packets(list.lines().find(about), &list)
        };
        let counts = (count(virtual_address)?, count(real)?);
        ensure(counts.0 == 0 && counts.1 > 0, || {
            format!(
                "unexpected numbers of packets to the virtual address and the real server: {counts:?}"
            )
        })?;
    }
    Ok(())
}

/// `dst,dst,dst` matches `VIP,proto:port,VIP` for a packet from any address of the node.
fn third_part(site: &Site) -> Outcome {
    for (family, _, prefix) in FAMILIES {
        let address = To::LoadBalancer(NODE_ONLY)
            .address(family, Protocol::Tcp)
            .ip();
        let _undo = without(site, |protocol| {
            format!("{prefix}LOAD-BALANCER-SOURCE-IP {address},{protocol}:80,{address}")
        })?;
        only(silent(Origin::Node, To::LoadBalancer(NODE_ONLY)), family).check(site)?;
        // The range itself admits it.
        only(
            served(Origin::NodeAddress, To::LoadBalancer(NODE_ONLY)),
            family,
        )
        .check(site)?;
    }
    served(Origin::Node, To::LoadBalancer(NODE_ONLY)).check(site)
}

/// Table `nat` sees only the first packet of a connection.
fn open_connection(site: &Site) -> Outcome {
    let target = To::LoadBalancer(NODE_ONLY).address(Family::V4, Protocol::Tcp);
    let connection = LongLived::open(&site.world.node, target)?;
    let entry = format!("KUBE-LOAD-BALANCER-SOURCE-IP {0},tcp:80,{0}", target.ip());
    let _undo = site.meanwhile(&format!("ipset del {entry}"), &format!("ipset add {entry}"))?;
    let limit = Duration::from_millis(500);
    let found = knock(&site.world.node, None, Protocol::Tcp, target, limit);
    ensure(found == Knock::Silence, || {
        format!("a new connection to {target}: expected no answer, found {found:?}")
    })?;
    let before = connection.lines();
    eventually(|| {
        let moves = connection.lines() > before + 5;
        ensure(moves, || "the connection is stalled")
    })?;
    connection.close()
}

/// Deviation D12. The answer of a pod on another node goes to the virtual address, which that node
/// has too.
fn no_local_endpoint(site: &Site) -> Outcome {
    let to = To::LoadBalancer(LOCAL_AWAY);
    for (family, _, prefix) in FAMILIES {
        let address = to.address(family, Protocol::Tcp).ip();
        let _undo = without(site, |protocol| {
            format!("{prefix}IPVS-NO-LOCAL-ENDPOINT {address},{protocol}:80")
        })?;
        only(silent(Origin::Node, to), family).check(site)?;
    }
    cell("", Origin::Node, to, Served(&[("pod3", Seen::Node)])).check(site)
}

fn loop_back(site: &Site) -> Outcome {
    let (from, to) = (Origin::Pod("pod1"), To::ClusterIp(ALONE));
    for (family, _, prefix) in FAMILIES {
        let address = family.of(&site.world.pods[0]);
        let _undo = without(site, |protocol| {
            format!("{prefix}LOOP-BACK {address},{protocol}:8080,{address}")
        })?;
        only(silent(from, to), family).check(site)?;
    }
    served(from, to).check(site)
}

fn ipvs_filter(site: &Site) -> Outcome {
    let to = To::HostPortOf(AddressKind::LoadBalancer, WIDE);
    for (family, iptables, _) in FAMILIES {
        let line = site
            .world
            .tool(&format!("{iptables} -S KUBE-IPVS-FILTER"))?;
        let reject = line.lines().find(|line| line.ends_with("port-unreachable"));
        let reject = reject
            .ok_or_else(|| Failure::new(format!("the REJECT rule is missing in:\n{line}")))?;
        let _undo = site.meanwhile(
            &format!("{iptables} {}", reject.replacen("-A", "-D", 1)),
            &format!("{iptables} {reject}"),
        )?;
        only(cell("", Origin::Client, to, Listens), family).check(site)?;
    }
    cell("", Origin::Client, to, Refused).check(site)
}

/// Without these settings, the answer of a pod on the same bridge bypasses IPVS.
fn bridge(site: &Site) -> Outcome {
    let cell = |expect| cell("", Origin::Pod("pod2"), To::ClusterIp(ALONE), expect);
    let off = |tool| {
        let setting = format!("sysctl -w net.bridge.bridge-nf-call-{tool}");
        site.meanwhile(&format!("{setting}=0"), &format!("{setting}=1"))
    };
    let undo = (off("iptables")?, off("ip6tables")?);
    cell(Silence).check(site)?;
    drop(undo);
    cell(Served(&[("pod1", Seen::Origin)])).check(site)
}

/// Shows why `net.ipv4.vs.conntrack` is always set.
fn conntrack(site: &Site) -> Outcome {
    let cell = |seen| cell("", Origin::Client, To::ClusterIp(ALONE), Served(seen));
    let setting = "sysctl -w net.ipv4.vs.conntrack";
    let undo = site.meanwhile(&format!("{setting}=0"), &format!("{setting}=1"))?;
    cell(&[("pod1", Seen::Origin)]).check(site)?;
    drop(undo);
    cell(&[("pod1", Seen::Node)]).check(site)
}

/// A set cannot hold a source range of length 0, which restricts nothing.
fn halves(site: &Site) -> Outcome {
    for (set, address, all, half) in [
        (
            "KUBE-LOAD-BALANCER-SOURCE-CIDR",
            "203.0.113.250",
            "0.0.0.0/0",
            "128.0.0.0/1",
        ),
        (
            "KUBE-6-LOAD-BALANCER-SOURCE-CID",
            "2001:db8:113::fa",
            "::/0",
            "8000::/1",
        ),
    ] {
        let entry = |network| format!("{set} {address},tcp:80,{network}");
        match site.world.tool(&format!("ipset add {}", entry(all))) {
            Err(why) => ensure(why.to_string().contains("CIDR"), || why)?,
            Ok(_) => return Err(Failure::new(format!("{set} accepts {all}"))),
        }
        let (add, delete) = (
            format!("ipset add {}", entry(half)),
            format!("ipset del {}", entry(half)),
        );
        drop(site.meanwhile(&add, &delete)?);
    }
    Ok(())
}
