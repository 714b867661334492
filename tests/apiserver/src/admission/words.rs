//! The words of Kubernetes: names, labels, ports, addresses
//! (k8s.io/apimachinery `pkg/util/validation/validation.go`, 1.32).

use crate::status::FieldError;
use serde_json::Value;
use std::net::IpAddr;

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
    must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
    with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used \
    for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
    '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
    validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// `None` if the word is a DNS-1123 label, else what is wrong.
pub(super) fn not_label(word: &str) -> Option<String> {
    if word.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    (!is_label(word)).then(|| LABEL_RULE.into())
}

/// `None` if the word is a DNS-1035 label (a Service's name), else what is wrong.
pub(super) fn not_label_1035(word: &str) -> Option<String> {
    if word.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    let fits = is_label(word) && word.starts_with(|c: char| c.is_ascii_lowercase());
    (!fits).then(|| LABEL_1035_RULE.into())
}

/// `None` if the word is a DNS-1123 subdomain, else what is wrong.
pub(super) fn not_subdomain(word: &str) -> Option<String> {
    if word.len() > 253 {
        return Some("must be no more than 253 characters".into());
    }
    (!word.split('.').all(is_label)).then(|| SUBDOMAIN_RULE.into())
}

fn is_label(word: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = word.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    inner(*first) && inner(*last) && bytes.iter().all(|c| inner(*c) || *c == b'-')
}

/// `None` if the word is a qualified name (a label's key), else what is wrong.
pub(super) fn not_qualified_name(word: &str) -> Option<String> {
    let (prefix, name) = match word.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, word),
    };
    if let Some(prefix) = prefix
        && let Some(why) = not_subdomain(prefix)
    {
        return Some(format!("prefix part {why}"));
    }
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 characters".into());
    }
    (!is_label_text(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .into()
    })
}

/// `None` if the word can be a label's value, else what is wrong.
pub(super) fn not_label_value(word: &str) -> Option<String> {
    if word.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    (!word.is_empty() && !is_label_text(word)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .into()
    })
}

fn is_label_text(word: &str) -> bool {
    let bytes = word.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// Checks a map of labels, such as a selector.
pub(super) fn check_labels(labels: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if let Some(why) = not_qualified_name(key) {
            errors.push(FieldError::invalid(path, key.as_str(), why));
        }
        if let Some(why) = value.as_str().and_then(not_label_value) {
            errors.push(FieldError::invalid(path, value.clone(), why));
        }
    }
}

/// Checks a port number.
pub(super) fn check_port(port: i64, path: &str, errors: &mut Vec<FieldError>) {
    if !(1..=65535).contains(&port) {
        errors.push(FieldError::invalid(
            path,
            port,
            "must be between 1 and 65535, inclusive",
        ));
    }
}

/// `None` if the word is an IANA service name (a port's name in a pod), else what is wrong.
pub(super) fn not_port_name(word: &str) -> Option<&'static str> {
    if word.len() > 15 {
        return Some("must be no more than 15 characters");
    }
    if !word
        .bytes()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    {
        return Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !word.bytes().any(|c| c.is_ascii_lowercase()) {
        return Some("must contain at least one letter (a-z)");
    }
    if word.contains("--") {
        return Some("must not contain consecutive hyphens");
    }
    (word.starts_with('-') || word.ends_with('-')).then_some("must not begin or end with a hyphen")
}

/// Parses an address as Kubernetes does.
pub(super) fn address(word: &str, path: &str, errors: &mut Vec<FieldError>) -> Option<IpAddr> {
    let parsed = parse_sloppy(word);
    if parsed.is_none() {
        errors.push(FieldError::invalid(
            path,
            word,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ));
    }
    parsed
}

/// `k8s.io/utils/net.ParseIPSloppy`: leading zeros in IPv4 octets are decimal; a mapped address is
/// IPv4. Zones are refused.
fn parse_sloppy(word: &str) -> Option<IpAddr> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let octets: Vec<u8> = word
        .split('.')
        .map(|o| {
            if o.bytes().all(|c| c.is_ascii_digit()) {
                o.parse().ok()
            } else {
                None
            }
        })
        .collect::<Option<_>>()?;
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some(IpAddr::from(octets))
}

/// Refuses addresses that cannot be an endpoint or an external IP (`ValidateNonSpecialIP`).
pub(super) fn check_not_special(ip: IpAddr, word: &str, path: &str, errors: &mut Vec<FieldError>) {
    let why = if ip.is_unspecified() {
        "may not be unspecified (0.0.0.0 or ::)"
    } else if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    } else if is_link_local(ip) {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    } else if is_link_local_multicast(ip) {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, word, why));
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.octets()[0] == 0xff && v6.octets()[1] & 0x0f == 0x02,
    }
}
