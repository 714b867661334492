use netlink_packet_generic::constants::{
    CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_OP_POLICY, CTRL_ATTR_POLICY,
};
use support::messages::attribute;

use super::*;

/// Encodes an answer of `command` with these attributes.
fn answer(command: GenlCtrlCmd, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let header = vec![command.into(), 2, 0, 0];
    let attributes = attributes
        .iter()
        .map(|(kind, value)| attribute(*kind, value));
    std::iter::once(header)
        .chain(attributes)
        .flatten()
        .collect()
}

/// Checks the family's number in an answer with these attributes. `None` stands for a rejected
/// answer.
#[track_caller]
fn check(attributes: &[(u16, &[u8])], expected: Option<Option<u16>>) {
    let payload = answer(GenlCtrlCmd::NewFamily, attributes);
    assert_eq!(family_id(&payload).ok(), expected);
}

#[test]
fn other_attributes_are_ignored() {
    let id = 35_u16.to_ne_bytes();
    check(
        &[
            (CTRL_ATTR_FAMILY_NAME, b"IPVS\0"),
            (CTRL_ATTR_FAMILY_ID, &id),
        ],
        Some(Some(35)),
    );
    check(&[(CTRL_ATTR_FAMILY_NAME, b"IPVS\0")], Some(None));
    check(
        &[(CTRL_ATTR_FAMILY_ID, &id), (999, b"of a later kernel")],
        Some(Some(35)),
    );
}

#[test]
fn truncated_attributes_do_not_panic() {
    let id = 35_u16.to_ne_bytes();
    for kind in [CTRL_ATTR_POLICY, CTRL_ATTR_OP_POLICY] {
        for length in 0..4 {
            check(
                &[(CTRL_ATTR_FAMILY_ID, &id), (kind, &[0; 4][..length])],
                Some(Some(35)),
            );
        }
        // The inner length exceeds the attribute.
        check(
            &[(CTRL_ATTR_FAMILY_ID, &id), (kind, &[0xff; 4])],
            Some(Some(35)),
        );
    }
    check(&[(CTRL_ATTR_FAMILY_ID, &id[..1])], None);
    check(&[(CTRL_ATTR_FAMILY_ID, &[0; 4])], None);
}

#[test]
fn truncated_answer_is_rejected() {
    let whole = answer(
        GenlCtrlCmd::NewFamily,
        &[(CTRL_ATTR_FAMILY_ID, &35_u16.to_ne_bytes())],
    );
    for length in 0..whole.len() - 2 {
        let id = family_id(&whole[..length]).ok();
        let expected = (length == 4).then_some(None);
        assert_eq!(id, expected, "{length} bytes");
    }
}

#[test]
fn answer_to_another_command_is_rejected() {
    let id = 35_u16.to_ne_bytes();
    let answer = answer(GenlCtrlCmd::DelFamily, &[(CTRL_ATTR_FAMILY_ID, &id)]);
    assert!(family_id(&answer).is_err());
}
