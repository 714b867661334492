use super::{Section, of_text, rule_lines};

#[test]
fn rule_is_printed_behind_its_table_without_comment() {
    let saved = [
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        ":KUBE-SERVICES - [0:0]",
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
        "COMMIT",
        "*filter",
        "-A KUBE-FORWARD -m comment --comment one -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "COMMIT",
    ];
    assert_eq!(
        rule_lines(&saved),
        [
            "nat :KUBE-SERVICES",
            "nat -A PREROUTING -j KUBE-SERVICES",
            "filter -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        ]
    );
}

#[test]
fn headings_separate_sections() {
    let lines = of_text(
        "# ipvs\n-A -t 10.96.0.1:80 -s rr\n# ipset\nadd KUBE-IPVS-IPS 10.96.0.1\ncreate KUBE-IPVS-IPS hash:ip family inet maxelem 65536\n",
    );
    assert_eq!(lines[&Section::Ipvs], ["-A -t 10.96.0.1:80 -s rr"]);
    assert_eq!(lines[&Section::Ipset], ["add KUBE-IPVS-IPS 10.96.0.1"]);
    assert_eq!(lines[&Section::IpsetCreate].len(), 1);
    assert!(lines[&Section::Rules4].is_empty());
}
