//! The page `/flagz`: the command line.
//!
//! Source of the format: `k8s.io/apiserver/pkg/server/flagz`, Kubernetes 1.36. Kubernetes chooses
//! the separator at random; here it is always `=`.

use std::collections::BTreeMap;

use model::escaped;

/// Flags of a command line with their values, including defaults, by name without the dashes.
pub type Flags = BTreeMap<String, String>;

const HEAD: &str = "
kube-ipvsd flagz
Warning: this page is for people who debug. No program should read it, and its format may change.

";

/// Replaces user name and password in a URL.
const HIDDEN: &str = "***";

/// Returns the page with one line for each flag. Credentials in URLs are hidden.
#[must_use]
pub fn page(flags: &Flags) -> String {
    let line = |(name, value): (&String, &String)| {
        format!("{name}={}\n", escaped(&without_credentials(value)))
    };
    flags
        .iter()
        .fold(HEAD.to_owned(), |page, flag| page + &line(flag))
}

/// Hides the part before `@` in the authority of each URL in `text`.
fn without_credentials(text: &str) -> String {
    let mut pieces = text.split("://");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |shown, piece| {
        let end = piece.find(['/', '?', '#', ',']).unwrap_or(piece.len());
        let (authority, rest) = piece.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => format!("{shown}://{HIDDEN}@{host}{rest}"),
            None => format!("{shown}://{piece}"),
        }
    })
}
