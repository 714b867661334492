//! Synchronisation daemons as arguments of `ipvsadm --start-daemon`.

use std::str::FromStr;

use crate::types::{SyncDaemon, SyncRole};

/// Returns the arguments of `ipvsadm` that start the daemon, with every setting that has a value:
/// `--start-daemon master --mcast-interface eth0 --syncid 7`.
#[must_use]
pub fn print_sync_daemon(daemon: &SyncDaemon) -> String {
    let SyncDaemon {
        role,
        interface,
        sync_id,
        maximum_length,
        group,
        port,
        time_to_live,
    } = daemon;
    let options = [
        ("--sync-maxlen", maximum_length.map(|it| it.to_string())),
        ("--mcast-group", group.map(|it| it.to_string())),
        ("--mcast-port", port.map(|it| it.to_string())),
        ("--mcast-ttl", time_to_live.map(|it| it.to_string())),
    ];
    let options = options
        .into_iter()
        .filter_map(|(name, value)| Some(format!(" {name} {}", value?)));
    format!("--start-daemon {role} --mcast-interface {interface} --syncid {sync_id}")
        + &options.collect::<String>()
}

/// Parses the output of [`print_sync_daemon`]. The options may be in any order.
///
/// # Errors
///
/// The role or the interface is missing, an option is unknown or repeated, or a value does not
/// parse.
pub fn parse_sync_daemon(line: &str) -> Result<SyncDaemon, String> {
    let mut words = line.split_ascii_whitespace();
    let (mut role, mut interface, mut sync_id) = (None, None, None);
    let (mut maximum_length, mut group, mut port, mut time_to_live) = (None, None, None, None);
    while let Some(option) = words.next() {
        let value = (words.next()).ok_or_else(|| format!("{option} needs a value"))?;
        let is_new = match option {
            "--start-daemon" => role.replace(role_of(value)?).is_none(),
            "--mcast-interface" => interface.replace(value).is_none(),
            "--syncid" => sync_id.replace(parsed(option, value)?).is_none(),
            "--sync-maxlen" => maximum_length.replace(parsed(option, value)?).is_none(),
            "--mcast-group" => group.replace(parsed(option, value)?).is_none(),
            "--mcast-port" => port.replace(parsed(option, value)?).is_none(),
            "--mcast-ttl" => time_to_live.replace(parsed(option, value)?).is_none(),
            _ => return Err(format!("unknown option {option}")),
        };
        if !is_new {
            return Err(format!("{option} is given twice"));
        }
    }
    Ok(SyncDaemon {
        role: role.ok_or("--start-daemon is missing")?,
        interface: interface.ok_or("--mcast-interface is missing")?.into(),
        sync_id: sync_id.unwrap_or_default(),
        maximum_length,
        group,
        port,
        time_to_live,
    })
}

fn role_of(text: &str) -> Result<SyncRole, String> {
    match text {
        "master" => Ok(SyncRole::Master),
        "backup" => Ok(SyncRole::Backup),
        _ => Err(format!("`{text}` is neither master nor backup")),
    }
}

fn parsed<T: FromStr>(option: &str, value: &str) -> Result<T, String> {
    let value = value.parse();
    value.map_err(|_| format!("{option} has an invalid value"))
}
