//! `ipvsctl diff` and `ipvsctl get` on saved tables.

use crate::folder::{Folder, SHOP, SHOP_TABLES};
use serde_json::{Value, json};

const DIFF: &str = "diff -f shop.yaml --node node1 --live live.txt";

/// Note about [`SHOP_TABLES`], which has only virtual servers and addresses.
const LACKING: &str = "note: the saved tables lack sets, rules, kernel settings, which are not compared; ipvsctl \
                       get tables -o text saves everything\n";

/// Tables that differ from those of [`SHOP`]: another scheduler, another weight, an additional and
/// a missing real server, a deleted and a missing Service, and a virtual server of another program.
const LIVE: &str = "\
# ipvs
-A -t 10.96.0.10:80 -s wrr
-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 0
-a -t 10.96.0.10:80 -r 10.244.9.9:8080 -m -w 1
-A -t [fd00:96::10]:80 -s rr
-a -t [fd00:96::10]:80 -r [fd00:244:1::5]:8080 -m -w 1
-A -u 10.96.0.99:53 -s rr
-a -u 10.96.0.99:53 -r 10.244.1.7:53 -m -w 1
-A -t 192.0.2.1:443 -s sh
# addresses
10.96.0.10/32
10.96.0.99/32
fd00:96::10/128
";

#[test]
fn no_difference() {
    let folder = Folder::with_live(SHOP_TABLES);
    let ran = folder.run(DIFF).exits(0);
    assert_eq!(ran.out, "Plan: 0 to add, 0 to change, 0 to delete\n");
    assert_eq!(ran.err, LACKING);
}

#[test]
fn differences_are_grouped_by_service_with_their_reasons() {
    let folder = Folder::with_live(LIVE);
    let ran = folder.run(DIFF).exits(1);
    let expected = "\
virtual servers  +2  ~1  -1
real servers     +3  ~2
addresses        +1      -1

default/web:http
~ -E -t 10.96.0.10:80 -s rr                         scheduler wrr -> rr
+ -a -t 10.96.0.10:80 -r 10.244.2.5:8080 -m -w 1
~ -e -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1    weight 0 -> 1
~ -e -t 10.96.0.10:80 -r 10.244.9.9:8080 -m -w 0    no endpoint of the Service, its connections drain

voice/phone:sip
+ 10.96.0.20/32
+ -A -u 10.96.0.20:5060 -s rr -p 10800
+ -a -u 10.96.0.20:5060 -r 10.244.1.6:15060 -m -w 1

voice/phone:ss7
+ -A --sctp-service 10.96.0.20:2905 -s rr -p 10800
+ -a --sctp-service 10.96.0.20:2905 -r 10.244.1.6:12905 -m -w 1

(no Service)
- -D -u 10.96.0.99:53
- 10.96.0.99/32

Plan: 6 to add, 3 to change, 2 to delete
";
    assert_eq!(ran.out, expected);
}

#[test]
fn an_empty_node_needs_the_device() {
    let folder = Folder::with_live("# ipvs\n# addresses\n");
    let ran = folder.run(DIFF).exits(1);
    assert!(
        ran.out.contains("\n(node)\n+ device kube-ipvs0\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .ends_with("\nPlan: 13 to add, 0 to change, 0 to delete\n"),
        "{}",
        ran.out
    );
}

#[test]
fn plan_as_json() {
    let folder = Folder::with_live(LIVE);
    let plan = folder.run(&format!("{DIFF} -o json")).exits(1).json();
    assert_eq!(plan["apiVersion"], "kube-ipvs.io/v1alpha1");
    assert_eq!(plan["kind"], "Plan");
    assert_eq!(plan["summary"], json!({"add": 6, "change": 3, "delete": 2}));
    assert_eq!(plan["withheldDeletions"], 0);
    let web = &plan["services"][0];
    assert_eq!(
        web["service"],
        json!({"namespace": "default", "name": "web", "port": "http"})
    );
    assert_eq!(
        web["changes"][0],
        json!({
            "effect": "change",
            "kind": "virtualServer",
            "line": "-E -t 10.96.0.10:80 -s rr",
            "description": "change virtual server 10.96.0.10:80/TCP",
            "reason": "scheduler wrr -> rr",
            "differences": [{"field": "scheduler", "live": "wrr", "desired": "rr"}],
        })
    );
    assert_eq!(web["scope"], "service");
    assert_eq!(plan["services"][3]["service"], Value::Null);
    assert_eq!(plan["services"][3]["scope"], "unclaimed");
    assert_eq!(
        plan["byKind"][2],
        json!({"kind": "address", "add": 1, "change": 0, "delete": 1})
    );
}

#[test]
fn excluded_networks_are_not_changed() {
    let folder = Folder::new()
        .with("shop.yaml", SHOP)
        .with("live.txt", LIVE)
        .with(
            "config.yaml",
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
         ipvs: {excludeCIDRs: [10.96.0.99/32]}\n",
        );
    let ran = folder.run(&format!("{DIFF} --config config.yaml")).exits(1);
    assert!(
        ran.out
            .ends_with("Plan: 6 to add, 3 to change, 0 to delete\n"),
        "{}",
        ran.out
    );
}

#[test]
fn nothing_is_deleted_if_input_is_unreadable() {
    let broken = format!("{SHOP}---\nkind: [\n");
    let folder = Folder::new()
        .with("shop.yaml", &broken)
        .with("live.txt", LIVE);
    let ran = folder
        .run(DIFF)
        .exits(2)
        .says("warning: 3 deletions are withheld: a part of the input could not be read: see the errors above");
    assert!(
        ran.out
            .ends_with("Plan: 6 to add, 2 to change, 0 to delete\n"),
        "{}",
        ran.out
    );
}

#[test]
fn virtual_server_of_another_program_is_a_finding() {
    let folder = Folder::with_live(&format!(
        "{SHOP_TABLES}\n# ipvs\n-A -t 192.0.2.1:443 -s sh\n"
    ));
    assert_eq!(folder.run(DIFF).exits(0).err, LACKING);

    // Without the address and the set entry it is not ours.
    let set = "create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536";
    let unmarked = SHOP_TABLES.replace("10.96.0.10/32\n", "") + "# ipset\n" + set + "\n";
    let folder = Folder::with_live(&unmarked);
    let ran = folder.run(DIFF).exits(1);
    let is_finding =
        |line: &str| line.starts_with("error: KIV0301 Service default/web: spec.ports: ");
    assert!(ran.err.lines().any(is_finding), "{}", ran.err);
}

#[test]
fn output_of_ipvsadm_save_is_compared_without_addresses() {
    let saved = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.2.5:8080 -m -w 1
-A -t [fd00:96::10]:80 -s rr
-a -t [fd00:96::10]:80 -r [fd00:244:1::5]:8080 -m -w 1
-A -u 10.96.0.20:5060 -s rr -p 10800
-a -u 10.96.0.20:5060 -r 10.244.1.6:15060 -m -w 1
-A -u 10.96.0.99:53 -s rr
";
    let folder = Folder::with_live(saved);
    let ran = folder.run(DIFF).exits(1).says(
        "warning: the saved tables contain no addresses: addresses are not compared, and every virtual \
         server with an address counts as ours; ipvsctl get tables -o text saves both",
    );
    let expected = "\
virtual servers  +1  -1
real servers     +1

voice/phone:ss7
+ -A --sctp-service 10.96.0.20:2905 -s rr -p 10800
+ -a --sctp-service 10.96.0.20:2905 -r 10.244.1.6:12905 -m -w 1

(no Service)
- -D -u 10.96.0.99:53

Plan: 2 to add, 0 to change, 1 to delete
";
    assert_eq!(ran.out, expected);
}

#[test]
fn invalid_saved_tables_are_an_error() {
    let check = |live: &str, message: &str| {
        let folder = Folder::with_live(live);
        let ran = folder.run(DIFF).exits(2);
        assert_eq!(ran.out, "");
        assert_eq!(
            ran.err,
            format!("error: failed to use the saved tables live.txt: {message}\n")
        );
    };
    check(
        "-A -t 10.96.0.10 -s rr\n",
        "line 1: -t expects an address and port such as 10.96.0.10:80, as ipvsadm-save -n writes them, not `10.96.0.10`",
    );
    check(
        r#"{"apiVersion": "kube-ipvs.io/v9", "kind": "NodeTables"}"#,
        "kind NodeTables, apiVersion kube-ipvs.io/v9: expected NodeTables, kube-ipvs.io/v1alpha1, as ipvsctl get tables -o json prints it",
    );
    check(
        r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "NodeTables", "virtualServers": [{"address": "10.0.0.1", "scheduler": "rr"}]}"#,
        "virtualServers[0]: expected address, port and protocol, or fwmark and family",
    );
    check(
        r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "NodeTables", "addresses": ["10.0.0.0/8"]}"#,
        "addresses[0]: 10.0.0.0/8 is a network; expected one address, such as 10.96.0.1/32",
    );
}

#[test]
fn get_prints_saved_tables() {
    let folder = Folder::new().with("live.txt", LIVE);
    let ran = folder.run("get servers --live live.txt").exits(0);
    let expected = "\
VIRTUAL SERVER        SERVICE  SCHEDULER  REAL SERVER           FORWARDING  WEIGHT
10.96.0.10:80/TCP     -        wrr        10.244.1.5:8080       Masq             0
                                          10.244.9.9:8080       Masq             1
10.96.0.99:53/UDP     -        rr         10.244.1.7:53         Masq             1
192.0.2.1:443/TCP     -        sh         (none)
[fd00:96::10]:80/TCP  -        rr         [fd00:244:1::5]:8080  Masq             1
";
    assert_eq!(ran.out, expected);
    let addresses = "\
ADDRESS
10.96.0.10/32
10.96.0.99/32
fd00:96::10/128
";
    let ran = folder.run("get tables --live live.txt").exits(0);
    assert_eq!(ran.out, format!("{expected}\n{addresses}"));
    let ran = folder.run("get tables --live live.txt -o wide").exits(0);
    let heading = "VIRTUAL SERVER        SERVICE  SCHEDULER  FLAGS  PERSISTENCE  REAL SERVER           \
                   FORWARDING  WEIGHT  THRESHOLDS  ACTIVE  INACTIVE  PERSISTENT\n";
    assert!(ran.out.starts_with(heading), "{}", ran.out);
    let ran = folder.run("get addresses --live live.txt -o wide").exits(0);
    let expected = "\
ADDRESS          VIRTUAL SERVERS
10.96.0.10/32    1
10.96.0.99/32    1
fd00:96::10/128  1
";
    assert_eq!(ran.out, expected);
    let ran = folder.run("get addresses --live live.txt -o text").exits(0);
    assert_eq!(ran.out, "10.96.0.10/32\n10.96.0.99/32\nfd00:96::10/128\n");
    folder.run("get timeouts --live live.txt").exits(2).says(
        "error: --live FILE: saved tables contain no timeouts: leave out --live to read the kernel",
    );
}

#[test]
fn standard_input_cannot_be_read_twice() {
    Folder::new()
        .run("diff -f - --node node1 --live -")
        .exits(2)
        .says(
            "error: -f - and --live - are both standard input, which can be read only once: name a \
             file for one of them",
        );
}
