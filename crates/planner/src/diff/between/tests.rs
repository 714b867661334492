use model::{NodeTables, Snapshot, text};

use super::between;

const ONE: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.1.2.4:8080 -m -w 0
-A -t 192.0.2.1:443 -s sh
# addresses
10.96.0.10/32
10.96.0.11/32
# ipset
create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
create KUBE-IPVS-IPS hash:ip family inet maxelem 65536
# rules4
*nat
:KUBE-MARK-MASQ -
:KUBE-SERVICES -
-A PREROUTING -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
COMMIT
# sysctl
net.ipv4.ip_forward = 0
net.ipv4.vs.conntrack = 1
# timeouts
--set 900 120 300
";

const OTHER: &str = "\
-A -t 10.96.0.10:80 -s wrr
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 2
-a -t 10.96.0.10:80 -r 10.1.2.5:8080 -m -w 1
-A -u 10.96.0.12:53 -s rr
-a -u 10.96.0.12:53 -r 10.1.2.6:53 -m -w 1
# addresses
10.96.0.10/32
10.96.0.12/32
# ipset
create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 131072
add KUBE-CLUSTER-IP 10.96.0.12,udp:53
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-NODE-PORT-TCP 30080
# rules4
*nat
:KUBE-SERVICES -
-A KUBE-SERVICES -j RETURN
COMMIT
# rules6
*filter
:KUBE-FORWARD -
COMMIT
# sysctl
net.ipv4.ip_forward = 1
net.ipv4.vs.conntrack = 1
# timeouts
--set 900 60 300
";

fn tables(text: &str) -> NodeTables {
    text::parse(text).expect("tables")
}

/// Checks that the plan turns `from` into `to`.
fn check(from: &str, to: &str) {
    let (from, to) = (tables(from), tables(to));
    let plan = between(&from, &to);
    let mut after = Snapshot {
        tables: from,
        ..Snapshot::default()
    };
    for planned in plan.ops() {
        assert_eq!(planned.owner, None);
        after.apply(&planned.op);
    }
    // Rules without chains and jumps equal no rules.
    after
        .tables
        .rules
        .retain(|_, rules| *rules != Default::default());
    assert_eq!(text::print(&after.tables), text::print(&to));
}

#[test]
fn the_changes_turn_the_first_tables_into_the_second() {
    check(ONE, OTHER);
    check(OTHER, ONE);
    check("", ONE);
}

#[test]
fn equal_tables_differ_in_nothing() {
    for text in [ONE, OTHER, ""] {
        assert!(between(&tables(text), &tables(text)).is_empty());
    }
}

#[test]
fn a_real_server_that_is_only_in_the_first_tables_is_deleted_at_once() {
    let plan = between(&tables(ONE), &tables(OTHER));
    let texts: Vec<String> = plan.ops().map(|planned| planned.op.to_string()).collect();
    let delete = "delete real server 10.1.2.4:8080 of 10.96.0.10:80/TCP";
    assert!(texts.iter().any(|text| text == delete), "{texts:#?}");
}
