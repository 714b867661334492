use super::*;

#[test]
fn hexadecimal_is_parsed_and_printed() {
    assert_eq!(
        from_hex("# of a kernel\n00 ff\n1a # the end\n"),
        Some(vec![0, 0xff, 0x1a])
    );
    assert_eq!(from_hex("0"), None);
    assert_eq!(from_hex("0g"), None);
    assert_eq!(to_hex(&[0, 0xff, 0x1a]), "00ff1a");
}
