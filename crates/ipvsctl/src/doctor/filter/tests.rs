use ipvs::AddressFamily;
use kernel::linux::Variant;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check};

#[test]
fn a_packet_filter_that_cannot_be_read_is_a_problem() {
    check("packet-filter", |_| {}, &["ok: iptables-nft 1.8.9"]);
    let unreadable = |facts: &mut NodeFacts| {
        facts.filter.unreadable = Some("iptables-save was not found".to_owned());
    };
    check(
        "packet-filter",
        unreadable,
        &["problem: iptables-save was not found"],
    );
}

/// Says that chains of a proxy are in these variants.
fn held(variants: &'static [Variant]) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        let holders = variants
            .iter()
            .map(|variant| (*variant, AddressFamily::Ipv4));
        facts.filter.holders = holders.collect();
    }
}

#[test]
fn chains_in_the_other_variant_are_a_problem() {
    let check = |variants, expected: &str| check("iptables-variants", held(variants), &[expected]);
    check(&[], "ok: there are no chains of a proxy");
    check(
        &[Variant::Nft],
        "ok: the chains of the proxy are in iptables-nft alone",
    );
    let told = "problem: iptables-nft is used, and iptables-legacy holds chains of a proxy";
    check(&[Variant::Nft, Variant::Legacy], told);
    check(&[Variant::Legacy], told);
}

/// Leaves the table of nftables mode.
fn left(facts: &mut NodeFacts) {
    let leftovers = facts.filter.leftovers.get_or_insert_default();
    leftovers.nft_tables.insert(AddressFamily::Ipv4);
}

#[test]
fn leftovers_of_other_modes_are_told() {
    check(
        "leftovers",
        |_| {},
        &["ok: kube-proxy's other modes left nothing"],
    );
    let expected = ["warning: kube-proxy left behind table ip kube-proxy of nftables mode"];
    check("leftovers", left, &expected);
    assert!(action("leftovers", left).contains("--remove-leftovers"));
    check("leftovers", |facts| facts.filter.leftovers = None, &[]);
}
