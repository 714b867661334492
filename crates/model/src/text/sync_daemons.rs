//! Parses the section `# sync`.

use std::collections::BTreeMap;

use ipvs::text::parse_sync_daemon;
use ipvs::{SyncDaemon, SyncRole};

use super::{TextError, at};

pub(super) fn parse(lines: &[(usize, &str)]) -> Result<BTreeMap<SyncRole, SyncDaemon>, TextError> {
    let mut daemons = BTreeMap::new();
    for (line, text) in lines {
        let daemon = parse_sync_daemon(text).map_err(at(*line))?;
        let role = daemon.role;
        if daemons.insert(role, daemon).is_some() {
            let problem = format!("the {role} synchronisation daemon is listed twice");
            return Err(at(*line)(problem));
        }
    }
    Ok(daemons)
}
