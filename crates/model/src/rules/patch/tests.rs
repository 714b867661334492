use super::*;
use crate::rules::Target;

fn rules(text: &str) -> Rules {
    Rules::parse(text).expect("output of iptables-save")
}

fn key(table: Table, chain: &str) -> ChainKey {
    ChainKey::new(table, chain)
}

fn jump(chain: &str) -> Rule {
    Rule {
        matches: Vec::new(),
        target: Target::Jump(chain.into()),
    }
}

fn patch() -> RulesPatch {
    let mark = Rule {
        matches: Vec::new(),
        target: Target::Mark {
            value: 0x4000,
            mask: 0x4000,
        },
    };
    RulesPatch {
        chains: [(key(Table::Nat, "KUBE-MARK-MASQ"), vec![mark])].into(),
        delete_chains: [key(Table::Filter, "KUBE-FORWARD")].into(),
        insert_jumps: vec![
            (key(Table::Nat, "OUTPUT"), jump("KUBE-SERVICES")),
            (key(Table::Nat, "OUTPUT"), jump("KUBE-MARK-MASQ")),
        ],
        delete_jumps: vec![(key(Table::Filter, "FORWARD"), jump("KUBE-FORWARD"))],
    }
}

#[test]
fn prints_input_of_iptables_restore() {
    let text = "\
*nat
:KUBE-MARK-MASQ - [0:0]
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-I OUTPUT -j KUBE-SERVICES
-I OUTPUT -j KUBE-MARK-MASQ
COMMIT
*filter
:KUBE-FORWARD - [0:0]
-D FORWARD -j KUBE-FORWARD
-X KUBE-FORWARD
COMMIT
";
    assert_eq!(patch().to_restore(), text);
}

#[test]
fn unchanged_tables_are_not_printed() {
    assert_eq!(RulesPatch::default().to_restore(), "");
}

#[test]
fn apply_changes_rules_as_the_kernel_does() {
    let mut live = rules(
        "*filter\n:KUBE-FORWARD -\n-A FORWARD -j KUBE-FORWARD\n-A FORWARD -j KUBE-FORWARD\nCOMMIT\n\
         *nat\n-A OUTPUT -j KUBE-POSTROUTING\nCOMMIT\n",
    );
    patch().apply(&mut live);
    let after = rules(
        "*nat\n:KUBE-MARK-MASQ -\n-A OUTPUT -j KUBE-MARK-MASQ\n-A OUTPUT -j KUBE-SERVICES\n\
         -A OUTPUT -j KUBE-POSTROUTING\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n\
         *filter\n-A FORWARD -j KUBE-FORWARD\nCOMMIT\n",
    );
    assert_eq!(live, after);
}

#[test]
fn displays_changes_in_one_line() {
    assert_eq!(
        patch().to_string(),
        "delete from filter FORWARD: -j KUBE-FORWARD; write nat KUBE-MARK-MASQ; \
         insert into nat OUTPUT: -j KUBE-SERVICES; insert into nat OUTPUT: -j KUBE-MARK-MASQ; \
         delete filter KUBE-FORWARD"
    );
}
