use ipvs::Connections;
use model::{Snapshot, text};

use super::{DaemonDrain, drains};
use crate::output::drains::text as table;

const DAEMON: &str = r#"[
  {"virtualServer": "10.96.0.10:80/TCP", "realServer": "10.244.1.5:8080", "service": "default/web:http",
   "since": "2026-01-02T03:04:05Z", "activeConnections": 7, "inactiveConnections": 1,
   "ends": "2026-01-02T03:19:05Z"},
  {"virtualServer": "10.96.0.10:80/TCP", "realServer": "10.244.1.6:8080", "service": "default/web:http",
   "since": "2026-01-02T03:04:06Z", "activeConnections": 1, "inactiveConnections": 0, "ends": null}
]"#;

/// Two draining real servers, one with weight 1, and one of another program's virtual server.
const KERNEL: &str = "\
# ipvs
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.4:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 0
-a -t 10.96.0.10:80 -r 10.244.1.9:8080 -m -w 0
-A -t 192.0.2.1:443 -s sh
-a -t 192.0.2.1:443 -r 192.0.2.2:443 -m -w 0
# addresses
10.96.0.10/32
";

fn daemon() -> Vec<DaemonDrain> {
    serde_json::from_str(DAEMON).expect("drains")
}

fn kernel() -> Snapshot {
    Snapshot {
        tables: text::parse(KERNEL).expect("tables"),
        ..Snapshot::default()
    }
}

fn check(daemon: &[DaemonDrain], kernel: Option<&Snapshot>, expected: &str) {
    assert_eq!(table(&drains(daemon, kernel)), expected);
}

#[test]
fn drains_of_the_daemon_without_the_kernel() {
    check(
        &daemon(),
        None,
        "\
VIRTUAL SERVER     REAL SERVER      SERVICE           SINCE                 ACTIVE  INACTIVE  DEADLINE
10.96.0.10:80/TCP  10.244.1.5:8080  default/web:http  2026-01-02T03:04:05Z  7       1         2026-01-02T03:19:05Z
10.96.0.10:80/TCP  10.244.1.6:8080  default/web:http  2026-01-02T03:04:06Z  1       0         none
",
    );
}

#[test]
fn drains_of_the_kernel_have_no_times() {
    let mut kernel = kernel();
    let counted = kernel.tables.virtual_servers.iter().next();
    let (key, entry) = counted.expect("a virtual server");
    let real = entry.real_servers.keys().nth(1).expect("a real server");
    let connections = Connections {
        active: 3,
        inactive: 2,
        persistent: 0,
    };
    kernel.connections.insert((*key, *real), connections);
    check(
        &[],
        Some(&kernel),
        "\
VIRTUAL SERVER     REAL SERVER      SERVICE  SINCE    ACTIVE   INACTIVE  DEADLINE
10.96.0.10:80/TCP  10.244.1.5:8080  unknown  unknown  3        2         unknown
10.96.0.10:80/TCP  10.244.1.9:8080  unknown  unknown  unknown  unknown   unknown
",
    );
}

#[test]
fn drains_missing_in_the_kernel_are_left_out() {
    check(
        &daemon(),
        Some(&kernel()),
        "\
VIRTUAL SERVER     REAL SERVER      SERVICE           SINCE                 ACTIVE   INACTIVE  DEADLINE
10.96.0.10:80/TCP  10.244.1.5:8080  default/web:http  2026-01-02T03:04:05Z  7        1         2026-01-02T03:19:05Z
10.96.0.10:80/TCP  10.244.1.9:8080  unknown           unknown               unknown  unknown   unknown
",
    );
}

#[test]
fn no_drains() {
    check(&[], Some(&Snapshot::default()), "No real server drains.\n");
}
