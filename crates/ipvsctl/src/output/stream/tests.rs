use serde::Serialize;
use serde_json::json;

use super::*;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    api_version: &'static str,
    kind: &'static str,
    items: &'a [serde_json::Value],
}

/// Checks that a list that is written item by item is the list that is written at once.
#[track_caller]
fn check(format: Format, items: &[serde_json::Value]) {
    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    let mut object = ListObject::begin(&mut lines, format, "Test", "items").expect("a list");
    for item in items {
        object.item(item).expect("an item");
    }
    object.end().expect("an end");
    drop(lines);
    let whole = Whole {
        api_version: API_VERSION,
        kind: "Test",
        items,
    };
    let expected = match format {
        Format::Json => serde_json::to_string_pretty(&whole).expect("JSON") + "\n",
        _ => serde_saphyr::to_string(&whole).expect("YAML"),
    };
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}

#[test]
fn a_streamed_list_is_the_same_as_a_whole_one() {
    let items = [
        json!({"a": 1, "b": [1, 2], "c": {"d": "x: y"}}),
        json!({"a": "two"}),
    ];
    for format in [Format::Json, Format::Yaml] {
        for count in 0..=items.len() {
            check(format, &items[..count]);
        }
    }
}

#[test]
fn text_of_tenants_is_escaped_in_every_format() {
    let item = json!({"name": "a\u{1b}[2J\u{85}b"});
    for format in [Format::Json, Format::Yaml] {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        let mut object = ListObject::begin(&mut lines, format, "Test", "items").expect("a list");
        object.item(&item).expect("an item");
        object.end().expect("an end");
        drop(lines);
        let text = String::from_utf8(out).expect("text");
        assert!(text.lines().all(|line| escaped(line) == line), "{text:?}");
        if format == Format::Json {
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(value["items"][0], item);
        }
    }
}

/// A writer that counts its calls, and fails from a call on.
#[derive(Default)]
struct Counting {
    calls: usize,
    fails_from: Option<usize>,
}

impl Write for &mut Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.calls += 1;
        match self.fails_from {
            Some(call) if self.calls >= call => Err(std::io::ErrorKind::BrokenPipe.into()),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_are_written_in_chunks_and_end_with_the_reader() {
    let mut out = Counting::default();
    let mut lines = Lines::new(&mut out);
    for _ in 0..1000 {
        lines.line(&"x".repeat(99)).expect("a line");
    }
    lines.flush().expect("a flush");
    drop(lines);
    assert_eq!(out.calls, 4);
    let mut out = Counting {
        fails_from: Some(2),
        ..Counting::default()
    };
    let mut lines = Lines::new(&mut out);
    let written = (0..1000).find_map(|_| lines.line(&"x".repeat(99)).err());
    assert!(matches!(written, Some(Error::Output(_))));
}
