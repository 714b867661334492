use super::*;

fn snapshot(text: &str) -> Snapshot {
    Snapshot {
        tables: model::text::parse(text).expect("tables"),
        ..Snapshot::default()
    }
}

#[track_caller]
fn check(before: &str, after: &str, expected: &[&str]) {
    let changes = between(&snapshot(before), &snapshot(after));
    let lines: Vec<String> = (changes.iter())
        .map(|change| format!("{} {}", change.effect.mark(), change.line))
        .collect();
    assert_eq!(lines, expected);
}

const WEB: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1
";

#[test]
fn equal_tables_have_no_changes() {
    check(WEB, WEB, &[]);
}

#[test]
fn a_virtual_server_is_added_and_deleted() {
    check(
        "",
        WEB,
        &[
            "+ -A -t 10.96.0.10:80 -s rr",
            "+ -a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1",
        ],
    );
    check(WEB, "", &["- -D -t 10.96.0.10:80"]);
}

#[test]
fn settings_of_servers_change() {
    check(
        WEB,
        &WEB.replace("-s rr", "-s wrr").replace("-w 1", "-w 0"),
        &[
            "~ -E -t 10.96.0.10:80 -s wrr",
            "~ -e -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 0",
        ],
    );
}

#[test]
fn a_real_server_is_replaced() {
    check(
        WEB,
        &WEB.replace("10.1.2.3", "10.1.2.4"),
        &[
            "+ -a -t 10.96.0.10:80 -r 10.1.2.4:8080 -m -w 1",
            "- -d -t 10.96.0.10:80 -r 10.1.2.3:8080",
        ],
    );
}

#[test]
fn addresses_and_the_device_change() {
    let address = |last| std::net::IpAddr::from([10, 96, 0, last]);
    let mut before = Snapshot::default();
    before.tables.addresses.insert(address(1));
    let mut after = Snapshot {
        device: true,
        ..Snapshot::default()
    };
    after.tables.addresses.insert(address(2));
    let changes = between(&before, &after);
    let lines: Vec<&str> = changes.iter().map(|change| change.line.as_str()).collect();
    assert_eq!(lines, ["device kube-ipvs0", "10.96.0.2/32", "10.96.0.1/32"]);
}

#[test]
fn rules_change_line_by_line() {
    let rules = |text: &str| {
        let mut snapshot = Snapshot::default();
        let rules = Rules::parse(text).expect("rules");
        snapshot.tables.rules.insert(AddressFamily::Ipv4, rules);
        snapshot
    };
    let check = |before: &str, after: &str, expected: &[&str]| {
        let text = |chains: &str| format!("*nat\n{chains}COMMIT\n");
        let changes = between(&rules(&text(before)), &rules(&text(after)));
        let lines: Vec<String> = (changes.iter())
            .map(|change| format!("{} {}", change.effect.mark(), change.line))
            .collect();
        assert_eq!(lines, expected);
        let place = Place::Rules(AddressFamily::Ipv4);
        assert!(changes.iter().all(|change| change.place == place));
    };
    let chain = ":KUBE-SERVICES -\n";
    // A jump of another program too.
    for jump in [
        "-A PREROUTING -j KUBE-SERVICES",
        "-A INPUT -j KUBE-SERVICES",
    ] {
        let with = format!("{chain}{jump}\n");
        check(chain, &with, &[&format!("+ IPv4 nat {jump}")]);
        check(&with, chain, &[&format!("- IPv4 nat {jump}")]);
    }
    check("", chain, &["+ IPv4 nat -N KUBE-SERVICES"]);
    check(chain, "", &["- IPv4 nat -X KUBE-SERVICES"]);
    let rules = |first: &str, second: &str| {
        format!(
            "{chain}-A KUBE-SERVICES -p {first} -j ACCEPT\n-A KUBE-SERVICES -p {second} -j ACCEPT\n"
        )
    };
    check(
        &rules("tcp", "udp"),
        &rules("udp", "tcp"),
        &[
            "+ IPv4 nat -A KUBE-SERVICES -p udp -j ACCEPT",
            "- IPv4 nat -A KUBE-SERVICES -p udp -j ACCEPT",
        ],
    );
}

#[test]
fn settings_change() {
    let mut after = Snapshot::default();
    let name = "net.ipv4.vs.conntrack";
    after.tables.sysctls.insert(name.into(), "0".into());
    let changes = between(&Snapshot::default(), &after);
    assert_eq!(changes[0].line, "net.ipv4.vs.conntrack = 0");
}
