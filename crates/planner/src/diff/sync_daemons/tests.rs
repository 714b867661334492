use ipvs::text::parse_sync_daemon;

use super::*;

const WANTED: &str = "--start-daemon master --mcast-interface eth0 --syncid 7 --mcast-group 224.0.0.81 \
    --mcast-port 8848 --mcast-ttl 1";

fn daemon(line: &str) -> SyncDaemon {
    parse_sync_daemon(line).expect("it parses")
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.into(),
        addresses: Vec::new(),
    }
}

/// Returns the changes for the running daemon `live`, as lines with their reasons.
fn lines(live: Option<&str>, wanted: &str, interfaces: &[&str]) -> Vec<String> {
    let interfaces: Vec<Interface> = interfaces.iter().map(|name| interface(name)).collect();
    let live = live.map(daemon);
    let changes = changes(live.as_ref(), &daemon(wanted), &interfaces).into_iter();
    changes
        .map(|(op, reason)| format!("{op}: {reason}"))
        .collect()
}

#[test]
fn a_missing_daemon_is_started() {
    let started =
        "start the master synchronisation daemon 7 on eth0: missing in the kernel".to_owned();
    assert_eq!(lines(None, WANTED, &["eth0"]), [started.as_str()]);
    assert_eq!(lines(None, WANTED, &[]), [started]);
}

#[test]
fn a_length_that_is_not_configured_may_be_any() {
    let live = format!("{WANTED} --sync-maxlen 1472");
    let none: [&str; 0] = [];
    assert_eq!(lines(Some(&live), WANTED, &["eth0"]), none);
}

#[test]
fn a_daemon_with_other_settings_is_restarted() {
    let live = format!("{WANTED} --sync-maxlen 1472");
    let wanted = "--start-daemon master --mcast-interface eth1 --syncid 8 --sync-maxlen 1400 \
                  --mcast-group ff05::81 --mcast-port 9000 --mcast-ttl 2";
    let reason = "interface eth0 -> eth1, syncid 7 -> 8, group 224.0.0.81 -> ff05::81, \
                  port 8848 -> 9000, ttl 1 -> 2, maxlen 1472 -> 1400";
    assert_eq!(
        lines(Some(&live), wanted, &["eth0", "eth1"]),
        [
            format!("stop the master synchronisation daemon: {reason}"),
            format!("start the master synchronisation daemon 8 on eth1: {reason}"),
        ]
    );
}

#[test]
fn a_daemon_whose_interface_is_deleted_is_restarted() {
    let reason = "interface eth0 (deleted) -> eth0";
    assert_eq!(
        lines(Some(WANTED), WANTED, &["lo"]),
        [
            format!("stop the master synchronisation daemon: {reason}"),
            format!("start the master synchronisation daemon 7 on eth0: {reason}"),
        ]
    );
    let none: [&str; 0] = [];
    assert_eq!(
        lines(Some(WANTED), WANTED, &[]),
        none,
        "the interfaces were not read"
    );
}
