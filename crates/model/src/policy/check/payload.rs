//! Bytes of a datagram, written as text.

use std::collections::BTreeMap;
use std::fmt;

use super::super::value::quoted;

/// Maximum length of a payload, bytes.
const MAX_LENGTH: usize = 128;

/// Bytes that a probe sends or expects, at most 128.
///
/// The text has escapes: `\r`, `\n`, `\t`, `\\` and `\xNN` with two hexadecimal digits. Commas
/// separate the keys of a check, and spaces around values are ignored, so that a comma is `\x2c`,
/// and a space at an end `\x20`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the value of `key` from `pairs`; empty if it is absent.
    pub(super) fn take(key: &str, pairs: &mut BTreeMap<&str, &str>) -> Result<Self, String> {
        let text = pairs.remove(key).unwrap_or_default();
        Self::parse(text).map_err(|problem| format!("{key}: {problem}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let escape = &rest[at..];
            let (byte, length) = unescape(escape).ok_or_else(|| {
                let shown: String = escape.chars().take(4).collect();
                format!(
                    "{} is none of the escapes \\r, \\n, \\t, \\\\ and \\xNN",
                    quoted(&shown)
                )
            })?;
            bytes.push(byte);
            rest = &escape[length..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        match bytes.len() <= MAX_LENGTH {
            true => Ok(Self(bytes)),
            false => Err(format!(
                "has {} bytes; at most {MAX_LENGTH} are sent or compared",
                bytes.len()
            )),
        }
    }
}

/// Returns the byte of the escape at the start of `text`, and the length of the escape.
fn unescape(text: &str) -> Option<(u8, usize)> {
    let byte = match text.as_bytes().get(1)? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        b'\\' => b'\\',
        b'x' => {
            let digits = text.get(2..4)?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let byte = is_hex.then(|| u8::from_str_radix(digits, 16).ok())??;
            return Some((byte, 4));
        }
        _ => return None,
    };
    Some((byte, 2))
}

/// Prints the text of the bytes, which reads as the same bytes.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len().saturating_sub(1);
        for (index, byte) in self.0.iter().enumerate() {
            match byte {
                b'\r' => f.write_str("\\r")?,
                b'\n' => f.write_str("\\n")?,
                b'\t' => f.write_str("\\t")?,
                b'\\' => f.write_str("\\\\")?,
                b' ' if index > 0 && index < last => f.write_str(" ")?,
                b',' => f.write_str("\\x2c")?,
                byte if byte.is_ascii_graphic() => write!(f, "{}", char::from(*byte))?,
                byte => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_bytes() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("PING\\r\\n", b"PING\r\n"),
            ("\\x00\\xfF\\\\x", b"\x00\xff\\x"),
            ("a=b c", b"a=b c"),
            ("\u{e4}", b"\xc3\xa4"),
        ] {
            let payload = Payload::parse(text).expect(text);
            assert_eq!(payload.bytes(), bytes, "{text}");
        }
        let long = "x".repeat(MAX_LENGTH);
        assert!(Payload::parse(&long).is_ok());
        assert_eq!(
            Payload::parse(&format!("{long}\\x00")),
            Err("has 129 bytes; at most 128 are sent or compared".to_owned())
        );
        for text in [
            "\\",
            "\\x",
            "\\x1",
            "\\x+1",
            "\\q",
            "\\\u{e4}",
            "\\x1\u{e4}",
        ] {
            let problem = Payload::parse(text).expect_err(text);
            assert!(problem.contains("is none of the escapes"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn the_text_reads_as_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..=MAX_LENGTH)) {
            let payload = Payload(bytes);
            let text = payload.to_string();
            prop_assert!(!text.contains(',') && text.trim() == text && text.is_ascii(), "{}", text);
            prop_assert_eq!(Payload::parse(&text), Ok(payload));
        }
    }
}
