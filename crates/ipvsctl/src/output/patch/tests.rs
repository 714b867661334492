use model::{NodeTables, Op, Plan, PlannedOp, Reason, Stage};

use super::text;
use crate::grouping::{Changes, Kind};

const BEFORE: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1
-A -t 10.96.0.11:80 -s rr
# addresses
10.96.0.10/32
10.96.0.11/32
# ipset
create KUBE-IPVS-IPS hash:ip family inet maxelem 65536
add KUBE-IPVS-IPS 10.96.0.10
# rules4
*nat
:KUBE-SERVICES -
-A PREROUTING -j KUBE-SERVICES
COMMIT
# sysctl
net.ipv4.ip_forward = 0
";

const AFTER: &str = "\
-A -t 10.96.0.10:80 -s wrr
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 2
-a -t 10.96.0.10:80 -r 10.1.2.4:8080 -m -w 1
# addresses
10.96.0.10/32
fd00::10/128
# ipset
create KUBE-IPVS-IPS hash:ip family inet maxelem 131072
add KUBE-IPVS-IPS 10.96.0.10
create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
# rules4
*nat
:KUBE-SERVICES -
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -p tcp -j ACCEPT
COMMIT
# sysctl
net.ipv4.ip_forward = 1
# timeouts
--set 900 120 300
";

fn tables(text: &str) -> NodeTables {
    model::text::parse(text).expect("tables")
}

fn plan() -> Plan {
    planner::between(&tables(BEFORE), &tables(AFTER))
}

#[test]
fn changes_are_in_the_syntax_of_their_tools_in_the_order_of_the_plan() {
    let plan = plan();
    let expected = "\
#!/bin/sh
# Changes of `ipvsctl diff`, for review. `ipvsctl apply` makes them with checks.
set -e
sysctl -w net.ipv4.ip_forward=1
ipvsadm --set 900 120 300
ipset restore <<'END'
create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
create TMP-KUBE-IPVS-IPS hash:ip family inet maxelem 131072
add TMP-KUBE-IPVS-IPS 10.96.0.10
swap TMP-KUBE-IPVS-IPS KUBE-IPVS-IPS
destroy TMP-KUBE-IPVS-IPS
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
END
iptables-restore --noflush <<'END'
*nat
:KUBE-SERVICES - [0:0]
-A KUBE-SERVICES -p tcp -j ACCEPT
COMMIT
END
ip address add fd00::10/128 dev kube-ipvs0
ipvsadm --restore <<'END'
-E -t 10.96.0.10:80 -s wrr
-e -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 2
-a -t 10.96.0.10:80 -r 10.1.2.4:8080 -m -w 1
-D -t 10.96.0.11:80
END
ip address delete 10.96.0.11/32 dev kube-ipvs0
";
    assert_eq!(text(&plan, &Changes::of_tables(&plan, &[])), expected);
}

#[test]
fn only_shown_changes_are_printed() {
    let plan = plan();
    let changes = Changes::of_tables(&plan, &[Kind::Address]);
    let script = text(&plan, &changes);
    let commands: Vec<&str> = script.lines().skip(3).collect();
    assert_eq!(
        commands,
        [
            "ip address add fd00::10/128 dev kube-ipvs0",
            "ip address delete 10.96.0.11/32 dev kube-ipvs0"
        ]
    );
}

#[test]
fn names_from_files_do_not_become_commands() {
    let mut server = match ipvs::text::parse_line("-A -t 10.96.0.10:80 -s rr") {
        Ok(ipvs::text::Line::VirtualServer(server)) => server,
        other => panic!("{other:?}"),
    };
    server.scheduler = ipvs::Scheduler("rr\nEND\nreboot".into());
    let planned = |op| PlannedOp {
        op,
        owner: None,
        reason: Reason::Missing,
    };
    let plan = Plan {
        stages: vec![Stage {
            ops: vec![
                planned(Op::SetSysctl(
                    "a.b".into(),
                    "1; reboot 'x'\n$(reboot)".into(),
                )),
                planned(Op::AddVirtualServer(server)),
            ],
        }],
        ..Plan::default()
    };
    let script = text(&plan, &Changes::of_tables(&plan, &[]));
    let commands: Vec<&str> = script.lines().skip(3).collect();
    assert_eq!(
        commands,
        [
            r"sysctl -w 'a.b=1; reboot '\''x'\''\n$(reboot)'",
            "ipvsadm --restore <<'END'",
            r"-A -t 10.96.0.10:80 -s rr\nEND\nreboot",
            "END"
        ]
    );
}
