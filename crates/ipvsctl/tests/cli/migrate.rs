//! `ipvsctl migrate check` and `ipvsctl get drains` on saved tables.

use serde_json::{Value, json};
use support::pages::serve;

use crate::folder::{Folder, SHOP, SHOP_TABLES};

const CHECK: &str = "migrate check -f shop.yaml --node node1 --live live.txt";

/// Returns the tables of kube-proxy for [`SHOP`]: without our set, and with a changed kernel
/// setting.
fn of_kube_proxy() -> String {
    let folder = Folder::new().with("shop.yaml", SHOP);
    let ours = folder.run("render -f shop.yaml --node node1").exits(0).out;
    let others = ours
        .lines()
        .filter(|line| !line.contains("NO-LOCAL-ENDPOINT"));
    let text: String = others.map(|line| format!("{line}\n")).collect();
    let conntrack = "net.ipv4.vs.conntrack = 1";
    assert!(text.contains(conntrack), "{text}");
    text.replace(conntrack, "net.ipv4.vs.conntrack = 0")
}

#[test]
fn tables_of_kube_proxy_change_only_by_deviations() {
    let folder = Folder::with_live(&of_kube_proxy());
    let ran = folder.run(CHECK).exits(0);
    let causes = "
Causes of the changes
- deviation D12, this node reaches Services of policy Local that have no endpoint on it: 2 to add, 0 to \
change, 0 to delete
- deviation D20, rules are the same at all times, even if sets are empty; with the rules of D12, D24 and D25: 0 to add, \
2 to change, 0 to delete
- state that every node needs: 0 to add, 1 to change, 0 to delete
";
    assert!(ran.out.contains(causes), "{}", ran.out);
    assert!(
        ran.out
            .contains("Plan: 2 to add, 3 to change, 0 to delete\n"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("\nBlockers\n"), "{}", ran.out);
    assert!(
        ran.out
            .contains("\nRollback\n- To kube-proxy in ipvs mode: ")
    );
    assert!(ran.out.ends_with("\nNo blockers.\n"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn tables_of_kube_ipvsd_do_not_change() {
    let folder = Folder::with_live(SHOP_TABLES);
    let ran = folder.run(CHECK).exits(0);
    assert!(
        ran.out
            .starts_with("Plan: 0 to add, 0 to change, 0 to delete\n\nNotes\n"),
        "{}",
        ran.out
    );
}

#[test]
fn running_kube_proxy_is_a_blocker() {
    let folder = Folder::with_live(SHOP_TABLES);
    let address = serve(&[("/proxyMode", "ipvs")]);
    let check = format!("{CHECK} --metrics-address {address}");
    let ran = folder.run(&check).exits(1);
    let blocker = format!("\nBlockers\n- kube-proxy (mode ipvs) answers at {address}: two proxies");
    assert!(ran.out.contains(&blocker), "{}", ran.out);
    assert!(ran.out.ends_with("\n1 blocker: resolve it first.\n"));
    let ran = folder.run(&format!("{check} --force")).exits(0);
    assert!(!ran.out.contains("\nBlockers\n"), "{}", ran.out);
    assert!(ran.out.contains(": stop it first\n"), "{}", ran.out);
}

#[test]
fn virtual_server_of_another_program_is_a_blocker() {
    // Its address is not on the device, and it has no set entry.
    let tables = of_kube_proxy();
    let others = (tables.lines()).filter(|line| {
        !line.contains("10.96.0.10") || line.starts_with("-A -t") || line.starts_with("-a -t")
    });
    let foreign: String = others.map(|line| format!("{line}\n")).collect();
    let folder = Folder::with_live(&foreign);
    let ran = folder.run(CHECK).exits(1);
    let blocker = "\nBlockers\n- KIV0301 error Service default/web: spec.ports: ";
    assert!(ran.out.contains(blocker), "{}", ran.out);
}

#[test]
fn errors_have_exit_status_2() {
    let folder = Folder::new()
        .with("shop.yaml", &format!("{SHOP}---\nkind: [\n"))
        .with("live.txt", SHOP_TABLES)
        .with("wrong.txt", "-A -t 10.96.0.10 -s rr\n");
    folder.run(CHECK).exits(2);
    let ran = folder
        .run("migrate check -f shop.yaml --node node1 --live wrong.txt")
        .exits(2);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("failed to use the saved tables wrong.txt"));
}

#[test]
fn take_over_as_json() {
    let folder = Folder::with_live(&of_kube_proxy());
    let address = serve(&[("/proxyMode", "iptables")]);
    let object = folder
        .run(&format!("{CHECK} --metrics-address {address} -o json"))
        .exits(1)
        .json();
    assert_eq!(object["kind"], "Migration");
    assert_eq!(object["nodeName"], "node1");
    assert_eq!(object["runningProxy"], "kube-proxy (mode iptables)");
    assert_eq!(object["inTheWay"].as_array().map(Vec::len), Some(1));
    assert_eq!(object["leftovers"], Value::Null);
    assert_eq!(object["cutConnections"], Value::Null);
    assert_eq!(
        object["causes"][0],
        json!({
            "deviation": "D12",
            "description": "this node reaches Services of policy Local that have no endpoint on it",
            "changes": {"add": 2, "change": 0, "delete": 0},
        })
    );
    assert_eq!(object["plan"]["summary"]["add"], 2);
    assert_eq!(object["wayBack"].as_array().map(Vec::len), Some(3));
}

#[test]
fn drains_of_daemon_and_kernel_are_merged() {
    let live = SHOP_TABLES.replace("10.244.1.5:8080 -m -w 1", "10.244.1.5:8080 -m -w 0");
    let folder = Folder::new().with("live.txt", &live);
    let ran = folder.run("get drains --live live.txt").exits(0);
    let expected = "\
VIRTUAL SERVER     REAL SERVER      SERVICE  SINCE    ACTIVE   INACTIVE  DEADLINE
10.96.0.10:80/TCP  10.244.1.5:8080  unknown  unknown  unknown  unknown   unknown
";
    assert_eq!(ran.out, expected);
    let address = serve(&[(
        "/drains",
        r#"[{"virtualServer": "10.96.0.10:80/TCP", "realServer": "10.244.1.5:8080",
             "service": "default/web:http", "since": "2026-01-02T03:04:05Z", "activeConnections": 7,
             "inactiveConnections": 1, "ends": null}]"#,
    )]);
    let get = format!("get drains --live live.txt --metrics-address {address}");
    let expected = "\
VIRTUAL SERVER     REAL SERVER      SERVICE           SINCE                 ACTIVE  INACTIVE  DEADLINE
10.96.0.10:80/TCP  10.244.1.5:8080  default/web:http  2026-01-02T03:04:05Z  7       1         none
";
    let ran = folder.run(&get).exits(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (expected, ""));
    let object = folder.run(&format!("{get} -o json")).exits(0).json();
    assert_eq!(object["kind"], "Drains");
    assert_eq!(
        object["drains"],
        json!([{
            "virtualServer": "10.96.0.10:80/TCP", "realServer": "10.244.1.5:8080",
            "service": "default/web:http", "since": "2026-01-02T03:04:05Z", "activeConnections": 7,
            "inactiveConnections": 1, "deadline": null, "knownToDaemon": true,
        }])
    );
}

#[test]
fn proxy_without_drains_is_a_warning() {
    let folder = Folder::new().with("live.txt", SHOP_TABLES);
    let address = serve(&[("/proxyMode", "ipvs")]);
    let ran = folder
        .run(&format!(
            "get drains --live live.txt --metrics-address {address}"
        ))
        .exits(0);
    assert_eq!(ran.out, "No real server drains.\n");
    assert_eq!(
        ran.err,
        format!(
            "warning: cannot read drains from kube-ipvsd at {address}: /drains was answered by status \
             404; Service and times are unknown: name its address by --metrics-address\n"
        )
    );
}
