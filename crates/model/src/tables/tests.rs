use std::collections::BTreeSet;

use ipset::SetName;

use super::{NodeTables, TableKeys};
use crate::snapshot::{Scope, Selection, SetSelection};
use crate::text;

const TABLES: &str = "\
-A -t 10.96.0.1:443 -s rr
-a -t 10.96.0.1:443 -r 10.1.0.1:6443 -m -w 1
# addresses
10.96.0.1/32
# ipset
create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
create KUBE-IPVS-IPS hash:ip family inet maxelem 65536
# rules4
*nat
COMMIT
# sysctl
net.ipv4.vs.conntrack = 1
# sync
--start-daemon backup --mcast-interface eth0 --syncid 7
";

fn tables() -> NodeTables {
    text::parse(TABLES).expect("it parses")
}

#[test]
fn the_keys_of_tables_read_every_part_of_them() {
    let tables = tables();
    let keys = TableKeys::of(&tables);
    assert!(!keys.is_empty());
    let expected = Scope {
        virtual_servers: Selection::Only(tables.virtual_servers.keys().copied().collect()),
        addresses: true,
        sets: SetSelection::Only(tables.sets.keys().cloned().collect()),
        rules: true,
        settings: true,
        sync_daemons: true,
    };
    assert_eq!(Scope::of(&keys), expected);
}

#[test]
fn no_keys_read_nothing() {
    let keys = TableKeys::of(&NodeTables::default());
    assert!(keys.is_empty());
    assert_eq!(Scope::of(&keys), Scope::NOTHING);
}

#[test]
fn each_kind_of_key_reads_its_part() {
    let all = TableKeys::of(&tables());
    let entries = tables().sets.into_iter().flat_map(|(name, set)| {
        let entries = set.entries.into_iter();
        entries.map(move |entry| (name.clone(), entry))
    });
    let entries: BTreeSet<_> = entries.collect();
    assert_eq!(entries.len(), 1);
    let of_entries = entries.iter().map(|(set, _)| set.clone()).collect();
    let keys = TableKeys::default;
    let nothing = || Scope::NOTHING;
    #[rustfmt::skip]
    let rows = [
        (TableKeys { addresses: all.addresses, ..keys() }, Scope { addresses: true, ..nothing() }),
        (TableKeys { device: true, ..keys() }, Scope { addresses: true, ..nothing() }),
        (TableKeys { rules: all.rules, ..keys() }, Scope { rules: true, ..nothing() }),
        (TableKeys { sysctls: all.sysctls, ..keys() }, Scope { settings: true, ..nothing() }),
        (TableKeys { timeouts: true, ..keys() }, Scope { settings: true, ..nothing() }),
        (TableKeys { sync_daemons: all.sync_daemons, ..keys() }, Scope { sync_daemons: true, ..nothing() }),
        (TableKeys { entries, ..keys() }, Scope { sets: SetSelection::Only(of_entries), ..nothing() }),
    ];
    for (keys, scope) in rows {
        assert!(!keys.is_empty(), "{keys:?}");
        assert_eq!(Scope::of(&keys), scope);
    }
}

#[test]
fn a_set_touches_its_own_entries_alone() {
    let tables = tables();
    let sets = TableKeys {
        sets: tables.sets.keys().cloned().collect(),
        ..TableKeys::default()
    };
    for (name, set) in tables.sets {
        let Some(entry) = set.entries.into_iter().next() else {
            continue;
        };
        let of_set = |name: &str| TableKeys {
            entries: [(SetName::new(name).expect("a name"), entry)].into(),
            ..TableKeys::default()
        };
        let (own, other) = (of_set(name.as_str()), of_set("KUBE-OTHER"));
        assert!(sets.touches(&own) && own.touches(&sets), "{name:?}");
        assert!(!sets.touches(&other) && !other.touches(&sets), "{name:?}");
        assert!(!own.touches(&TableKeys::default()));
    }
}
