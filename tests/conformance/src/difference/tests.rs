use crate::section::{Section, of_text};

use super::between;

fn check(ours: &str, theirs: &str, expected: &[&str]) {
    let found: Vec<String> = (between(&of_text(ours), &of_text(theirs)).iter())
        .map(|difference| {
            let side = format!("{:?}", difference.side).to_lowercase();
            format!("{side} {}: {}", difference.section.name(), difference.line)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn equal_tables_have_no_differences() {
    check(
        "# ipvs\n-A -t 10.96.0.1:80 -s rr\n",
        "# ipvs\n-A -t 10.96.0.1:80 -s rr\n",
        &[],
    );
}

#[test]
fn line_of_one_side_is_a_difference() {
    check(
        "# addresses\n10.96.0.1/32\n",
        "# addresses\n10.96.0.2/32\n",
        &[
            "ours addresses: 10.96.0.1/32",
            "theirs addresses: 10.96.0.2/32",
        ],
    );
}

#[test]
fn our_rule_with_an_empty_set_is_ignored() {
    let rule =
        "# rules4\n*nat\n-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\n";
    check(rule, "", &[]);
    check(
        "",
        rule,
        &[
            "theirs rules4: nat -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
        ],
    );
    check(
        &format!("{rule}# ipset\nadd KUBE-CLUSTER-IP 10.96.0.1,tcp:80\n"),
        "# ipset\nadd KUBE-CLUSTER-IP 10.96.0.1,tcp:80\n",
        &["ours rules4: nat -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT"],
    );
}

#[test]
fn negated_match_of_an_empty_set_counts() {
    check(
        "# rules4\n*nat\n-A KUBE-SERVICES -m set ! --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\n",
        "",
        &[
            "ours rules4: nat -A KUBE-SERVICES -m set ! --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
        ],
    );
}

#[test]
fn order_of_rules_counts_within_a_chain() {
    let text = |first: &str, second: &str| {
        format!("# rules4\n*nat\n-A {first} -j RETURN\n-A {second} -j DROP\n")
    };
    check(
        &text("A", "B"),
        "# rules4\n*nat\n-A B -j DROP\n-A A -j RETURN\n",
        &[],
    );
    check(
        &text("A", "A"),
        "# rules4\n*nat\n-A A -j DROP\n-A A -j RETURN\n",
        &[
            "ours rules4: order of nat A: nat -A A -j RETURN stands where kube-proxy has nat -A A -j DROP",
        ],
    );
}

#[test]
fn only_settings_that_we_write_count() {
    check(
        "# sysctl\nnet.ipv4.ip_forward = 1\n",
        "# sysctl\nnet.ipv4.ip_forward = 0\nnet.ipv4.conf.all.arp_ignore = 0\n",
        &[
            "ours sysctl: net.ipv4.ip_forward = 1",
            "theirs sysctl: net.ipv4.ip_forward = 0",
        ],
    );
    assert!(!Section::Sysctl.is_ordered());
}
