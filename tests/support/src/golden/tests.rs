use super::*;

#[test]
fn printed_golden_parses_to_the_same_golden() {
    let message = |direction, length: u8| Captured {
        direction,
        bytes: (0..length).collect(),
        meaning: "Command\n  Attribute(1)\n".to_owned(),
    };
    let golden = Golden {
        name: "name".to_owned(),
        command: "program --flag".to_owned(),
        origin: "program 1.0, Linux 6.1".to_owned(),
        messages: vec![
            message(Direction::ToKernel, 4),
            message(Direction::FromKernel, 77),
            message(Direction::Refused(4103), 32),
        ],
    };
    assert_eq!(Golden::parse("name", &golden.print()), golden);
}

#[test]
#[should_panic(expected = "` 0x00` is not hexadecimal")]
fn non_hexadecimal_bytes_are_rejected() {
    let _ = Golden::parse("name", "to the kernel\n| 0x00\n");
}
