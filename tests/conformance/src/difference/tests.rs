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
fn equal_tables_do_not_differ() {
    check(
        "# ipvs\n-A -t 10.96.0.1:80 -s rr\n",
        "# ipvs\n-A -t 10.96.0.1:80 -s rr\n",
        &[],
    );
}

#[test]
fn a_line_of_one_side_differs() {
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
fn a_rule_of_ours_whose_set_is_empty_does_not_count() {
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
fn a_rule_that_wants_no_membership_counts_even_if_the_set_is_empty() {
    check(
        "# rules4\n*nat\n-A KUBE-SERVICES -m set ! --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\n",
        "",
        &[
            "ours rules4: nat -A KUBE-SERVICES -m set ! --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
        ],
    );
}

#[test]
fn the_order_of_rules_counts_within_a_chain() {
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
fn settings_count_where_we_want_them() {
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
