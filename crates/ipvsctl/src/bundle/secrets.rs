//! Removes secrets from text.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Text in place of a secret.
const REMOVED: &str = "(removed)";

/// A field whose name says that its value is secret, and the value: `token: abc`,
/// `"password": "abc"`, `--api-key=abc`, `Authorization: Bearer abc`.
static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = r"[\w.-]*(?:token|password|passwd|secret|authorization|api[-_]?key|private[-_]?key|key-data|certificate-data|authority-data)";
    let value = r#"(?:"[^"\n]*"|'[^'\n]*'|(?:Bearer|Basic)\s+\S+|[^\s,}"']+)"#;
    Regex::new(&format!(
        r#"(?im)(^|[\s"'{{,?&-])({name}["']?\s*[:=]\s*)({value})"#
    ))
    .ok()
});

/// A private key or certificate in PEM.
static PEM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)").ok()
});

/// User and password in a URL.
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"://[^\s/@]+:[^\s/@]+@").ok());

/// Returns `text` without the values of fields whose name says that they are secret, without keys
/// and certificates in PEM, and without passwords in URLs.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let text = replaced(&PEM, text, |_| REMOVED.to_owned());
    let text = replaced(&USER, &text, |_| format!("://{REMOVED}@"));
    let field = |found: &Captures<'_>| format!("{}{}{REMOVED}", &found[1], &found[2]);
    replaced(&FIELD, &text, field).into_owned()
}

fn replaced<'t>(
    pattern: &Option<Regex>,
    text: &'t str,
    with: impl Fn(&Captures<'_>) -> String,
) -> Cow<'t, str> {
    match pattern {
        Some(pattern) => pattern.replace_all(text, with),
        // The patterns are constants, which a test compiles. Without one nothing may be shown.
        None => Cow::Borrowed(REMOVED),
    }
}
