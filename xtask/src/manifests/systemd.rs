//! The systemd unit with systemd's own checks, which start nothing.

use super::Check;
use crate::error::Result;
use crate::files;
use crate::project::Project;
use crate::vm::{packages, shell};

/// Highest exposure that `systemd-analyze security` may find, in tenths: 0 is none, 100 is that of
/// a service without any restriction.
const EXPOSURE: &str = "30";

const UNIT: &str = "kube-ipvsd.service";

pub(super) fn checks(project: &Project) -> Result<Vec<Check>> {
    packages::ensure(&["systemd"])?;
    let unit = files::read(&project.root.join("manifests/systemd").join(UNIT))?;
    let directory = project.vm(format!("systemd-{}", std::process::id()));
    // The program and its file are not installed here.
    let unit = unit.replace("/usr/bin/kube-ipvsd", "/bin/true");
    let unit = unit.replace("EnvironmentFile=", "EnvironmentFile=-");
    let file = directory.join(UNIT);
    files::write(&file, unit)?;
    let file = file.to_string_lossy().into_owned();
    // A directive that is ignored is only a line on standard error.
    let verify = ["-c", "systemd-analyze verify \"$0\" 2>&1", &file];
    let complaints = shell::output("sh", &verify).map(|said| {
        let lines = said.lines().filter(|line| line.contains(UNIT));
        lines.map(str::to_owned).collect()
    });
    let threshold = format!("--threshold={EXPOSURE}");
    let security = [
        "security",
        "--offline=true",
        "--no-pager",
        &threshold,
        &file,
    ];
    let exposed = shell::output("systemd-analyze", &security).map(|_| Vec::new());
    let all = vec![
        Check::new("systemd::unit_is_valid", complaints),
        Check::new("systemd::unit_is_restricted", exposed),
    ];
    files::remove(&directory)?;
    Ok(all)
}
