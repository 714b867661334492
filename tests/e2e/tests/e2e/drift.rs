//! Changes by other programs to the node's tables, and the audit that undoes them.

use std::time::Duration;

use e2e::{Outcome, ensure, within};
use libtest_mimic::Trial;

use crate::case;
use crate::cluster::Cluster;

/// Changes by other programs: the name, the command, and a part of the log line about the repair.
const DRIFTS: [(&str, &str, &str); 9] = [
    (
        "virtual_server_deleted",
        "ipvsadm -D -t 10.96.1.1:80",
        "add virtual server 10.96.1.1:80/TCP",
    ),
    (
        "virtual_server_added",
        "ipvsadm -A -t 10.96.1.1:81 -s rr",
        "delete virtual server 10.96.1.1:81/TCP",
    ),
    (
        "scheduler_changed",
        "ipvsadm -E -u [fd00:10:96::101]:80 -s wlc",
        "change virtual server [fd00:10:96::101]:80/UDP",
    ),
    (
        "real_server_deleted",
        "ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.10:8080",
        "add real server 10.244.0.10:8080 to 10.96.1.1:80/TCP",
    ),
    (
        "real_server_added",
        "ipvsadm -a -t 10.96.1.1:80 -r 10.244.0.99:8080 -m",
        // The daemon deletes it a second later, when it has read that there are no connections.
        "change real server 10.244.0.99:8080 of 10.96.1.1:80/TCP: no endpoint of the Service",
    ),
    (
        "weight_changed",
        "ipvsadm -e -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 7",
        "10.244.0.10:8080 of 10.96.1.1:80/TCP: weight 7 -> 1",
    ),
    (
        "address_removed",
        "ip address delete 10.96.1.1/32 dev kube-ipvs0",
        "add address 10.96.1.1 to kube-ipvs0",
    ),
    (
        "address_added",
        "ip address add 10.96.1.99/32 dev kube-ipvs0",
        "delete address 10.96.1.99 from kube-ipvs0",
    ),
    (
        "device_deleted",
        "ip link delete kube-ipvs0",
        "add address fd00:10:96::101 to kube-ipvs0",
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    DRIFTS
        .into_iter()
        .map(|(name, line, word)| {
            case(format!("drift::{name}_by_hand"), move || {
                repaired(line, word)
            })
        })
        .collect()
}

fn repaired(line: &str, word: &str) -> Outcome {
    let cluster = Cluster::start(2, &["syncPeriod: 2s"])?;
    let before = cluster.world.tables()?;
    cluster.world.tool(line)?;
    // The kernel notifies the daemon of some changes, as of addresses, which may be repaired
    // already: the log shows that there was drift. The time is a sync period, as much again for a
    // busy machine, and a second for the log.
    let time = Duration::from_secs(5);
    within(time, || cluster.world.tables()?.are(&before))?;
    let words = ["WARN", "repairing drift", word, "service="];
    cluster.daemon.wait_for_log(time, &words)?;
    // Unlike `are`, this counts draining real servers: one that another program added first gets
    // weight 0, and is then deleted.
    within(time, || {
        let there = cluster.world.tables()?;
        ensure(there == before, || {
            format!("the tables differ from those before: {there}")
        })
    })?;
    cluster.served_by(&["pod1", "pod2"])
}
