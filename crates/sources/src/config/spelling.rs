//! Spellings of flags that kube-proxy accepts.

use std::ffi::OsString;

use super::parse_boolean;

/// A switch with other values than booleans.
const VERSION: &str = "version";

/// Converts the flags of a command line to the declared spelling. kube-proxy accepts `_` for `-` in
/// names, and a value `true` or `false` for each boolean (`WordSepNormalizeFunc` of its flag
/// library, pflag). `is_switch` returns true for flags without a value: `--NAME=true` becomes
/// `--NAME`, and `--NAME=false` is dropped.
pub fn as_declared(
    args: impl Iterator<Item = OsString>,
    is_switch: impl Fn(&str) -> bool,
) -> Vec<OsString> {
    let mut flags_end = false;
    let read = |arg: OsString| {
        flags_end |= arg == "--";
        let flag = arg.to_str().and_then(|text| text.strip_prefix("--"));
        let Some(flag) = flag.filter(|_| !flags_end) else {
            return Some(arg);
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let name = name.replace('_', "-");
        let written = match value {
            None => format!("--{name}"),
            Some(value) if is_switch(&name) => match parse_boolean(value) {
                Some(true) => format!("--{name}"),
                Some(false) => return None,
                None if name == VERSION => format!("--{name}"),
                None => format!("--{name}={value}"),
            },
            Some(value) => format!("--{name}={value}"),
        };
        Some(written.into())
    };
    args.filter_map(read).collect()
}
