//! Generators of rules.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use ipset::{Dimension, SetName};
use ipvs::Protocol;
use proptest::prelude::*;
use proptest::sample::select;

use crate::rules::{ChainKey, ConnectionState, Match, OURS, Rule, Rules, Table, Target};

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let ours = select(OURS.to_vec());
    let key = ours.prop_map(|(table, chain)| ChainKey::new(table, chain));
    let chains = prop::collection::btree_map(key, prop::collection::vec(rule(), 0..4), 0..6);
    let jumps = prop::collection::vec(jump(), 0..6);
    (chains, jumps).prop_map(|(chains, jumps)| {
        let mut rules = Rules {
            chains,
            ..Rules::default()
        };
        for (key, rule) in jumps {
            rules.jumps.entry(key).or_default().push(rule);
        }
        rules
    })
}

/// Returns a rule of a built-in chain that jumps to one of our chains.
fn jump() -> impl Strategy<Value = (ChainKey, Rule)> {
    let chain = |table: Table| select(table.built_in().to_vec());
    let ours = |table| {
        let ours = OURS.into_iter().filter(move |(of, _)| *of == table);
        select(ours.map(|(_, name)| name).collect::<Vec<_>>())
    };
    select(Table::ALL.to_vec())
        .prop_flat_map(move |table| (Just(table), chain(table), rule(), ours(table)))
        .prop_map(|(table, chain, rule, target)| {
            let target = Target::Jump(target.into());
            (ChainKey::new(table, chain), Rule { target, ..rule })
        })
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let matches = prop::collection::vec(condition(), 0..4);
    (matches, target()).prop_map(|(matches, target)| Rule { matches, target })
}

fn network() -> impl Strategy<Value = IpNetwork> {
    let v4 = (any::<Ipv4Addr>(), 0..=32_u8).prop_map(|(address, prefix)| (address.into(), prefix));
    let v6 = (any::<Ipv6Addr>(), 0..=128_u8).prop_map(|(address, prefix)| (address.into(), prefix));
    prop_oneof![v4, v6]
        .prop_map(|(address, prefix)| IpNetwork::new(address, prefix).expect("a length"))
}

fn condition() -> impl Strategy<Value = Match> {
    let end = || select(vec![Dimension::Src, Dimension::Dst]);
    let states = vec![
        ConnectionState::New,
        ConnectionState::Related,
        ConnectionState::Established,
    ];
    let others = [
        "-f",
        "-m tcp ! --dport 80",
        "-m ipvs --vproto 6 --vaddr 203.0.113.16 --vport 80",
        "-m string --string \"a -j \\\" b\" --algo bm",
    ];
    prop_oneof![
        (any::<bool>(), network())
            .prop_map(|(negated, network)| Match::Source { negated, network }),
        (any::<bool>(), network())
            .prop_map(|(negated, network)| Match::Destination { negated, network }),
        (any::<bool>(), "[a-z0-9.@:]{1,14}\\+?").prop_map(|(negated, name)| Match::InInterface {
            negated,
            name: name.into(),
        }),
        any::<u8>().prop_map(|number| Match::Protocol(Protocol::from(number))),
        "\\PC{0,20}".prop_map(|text| Match::Comment(text.into())),
        (
            any::<bool>(),
            "[A-Z0-9-]{1,31}",
            prop::collection::vec(end(), 1..4)
        )
            .prop_map(|(negated, name, dimensions)| Match::Set {
                negated,
                name: SetName::cut(&name),
                dimensions,
            }),
        (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(negated, value, mask)| {
            Match::Mark {
                negated,
                value,
                mask,
            }
        }),
        (any::<bool>(), end()).prop_map(|(negated, end)| Match::Local { negated, end }),
        any::<bool>().prop_map(|negated| Match::PhysdevIsIn { negated }),
        prop::sample::subsequence(states, 1..=3).prop_map(Match::ConnectionState),
        select(others.to_vec()).prop_map(|text| Match::Other(text.into())),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let others = ["-g DOCKER", "-j LOG --log-prefix \"-j a\"", "-j MARK"];
    prop_oneof![
        Just(Target::Nothing),
        Just(Target::Return),
        Just(Target::Accept),
        Just(Target::Drop),
        "KUBE-[A-Z]{1,20}".prop_map(|chain| Target::Jump(chain.into())),
        "icmp6?-[a-z-]{1,20}".prop_map(|with| Target::Reject(with.into())),
        any::<(u32, u32)>().prop_map(|(value, mask)| Target::Mark { value, mask }),
        any::<bool>().prop_map(|random_fully| Target::Masquerade { random_fully }),
        select(others.to_vec()).prop_map(|text| Target::Other(text.into())),
    ]
}
