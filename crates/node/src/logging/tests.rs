use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt;

use super::fields;

/// Returns the lines that the text format writes for the events of `log`.
fn written(log: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("memory").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let memory = Memory::default();
    let writer = memory.clone();
    let lines = fmt()
        .fmt_fields(fields())
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(lines, log);
    let bytes = memory.0.lock().expect("memory").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn an_event_is_one_line_with_its_fields() {
    let name = "default/web";
    let line = written(
        || tracing::warn!(service = name, count = 2, code = %"KIV0115", "it is odd: {name}"),
    );
    assert_eq!(
        line,
        " WARN node::logging::tests: it is odd: default/web service=\"default/web\" count=2 code=KIV0115\n"
    );
}

#[test]
fn no_text_ends_a_line_or_commands_a_terminal() {
    let forged = "x\n ERROR node: forged\r\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{2028}y";
    let line =
        written(|| tracing::error!(plain = forged, shown = %forged, debug = ?forged, "{forged}"));
    assert_eq!(line.lines().count(), 1, "{line:?}");
    assert!(line.ends_with('\n'));
    let body = line.trim_end_matches('\n');
    assert!(
        !body
            .chars()
            .any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)),
        "{line:?}"
    );
    assert_eq!(
        body.matches(r"x\n ERROR node: forged\r\u{1b}]0;title\u{7}")
            .count(),
        4,
        "{line}"
    );
}
