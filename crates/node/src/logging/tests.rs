use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;

use super::{LogFormat, lines};

/// Returns the lines that `format` writes for the events of `log`, of level info and above.
fn written(format: LogFormat, log: impl FnOnce()) -> String {
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
    let lines = lines(
        format,
        EnvFilter::new("info"),
        move || writer.clone(),
        false,
    );
    tracing::dispatcher::with_default(&lines, log);
    let bytes = memory.0.lock().expect("memory").clone();
    String::from_utf8(bytes).expect("text")
}

const FORGED: &str = "x\n ERROR node: forged\r\u{1b}]0;title\u{7}\u{7f}\u{9b}2J\u{202e}\u{2028}y";

/// Returns the line of an event with [`FORGED`] in its message and fields, without the line break.
fn forged(format: LogFormat) -> String {
    let log = || tracing::error!(plain = FORGED, shown = %FORGED, debug = ?FORGED, "{FORGED}");
    let mut line = written(format, log);
    assert_eq!(line.pop(), Some('\n'), "{line:?}");
    let commands = |c: char| c.is_control() || "\u{202e}\u{2028}".contains(c);
    assert!(!line.contains(commands), "{line:?}");
    line
}

#[test]
fn an_event_is_one_line_with_its_fields() {
    let name = "default/web";
    let line = written(
        LogFormat::Text,
        || tracing::warn!(service = name, count = 2, code = %"KIV0115", "it is odd: {name}"),
    );
    let (_time, line) = line.split_once(' ').expect("a time");
    assert_eq!(
        line,
        " WARN node::logging::tests: it is odd: default/web service=\"default/web\" count=2 code=KIV0115\n"
    );
}

#[test]
fn text_cannot_break_lines_or_control_a_terminal() {
    let line = forged(LogFormat::Text);
    let escaped = r"x\n ERROR node: forged\r\u{1b}]0;title\u{7}";
    assert_eq!(line.matches(escaped).count(), 4, "{line}");
}

#[test]
fn json_escapes_unprintable_characters() {
    let line = forged(LogFormat::Json);
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["message"], FORGED);
    assert_eq!(event["plain"], FORGED);
    assert_eq!(event["shown"], FORGED);
}
