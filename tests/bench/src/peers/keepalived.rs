//! keepalived as a process, without VRRP.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ipvs::client::Client;
use ipvs::{RealServerKey, VirtualServerKey};

use crate::Outcome;
use crate::process::family;

/// Virtual servers and their real servers.
type Servers = [(VirtualServerKey, Vec<RealServerKey>)];

/// A running keepalived. Killed when it is dropped.
pub(crate) struct Keepalived {
    child: Child,
    /// The last virtual server, and the number of its real servers.
    last: (VirtualServerKey, usize),
}

impl Keepalived {
    /// Starts keepalived with `servers`, and with `check` for each real server.
    pub(crate) fn start(servers: &Servers, check: &str, folder: &Path) -> Outcome<Self> {
        let Some((key, real_servers)) = servers.last() else {
            return Err("the tables have nothing for keepalived".into());
        };
        let file = folder.join("keepalived.conf");
        fs::write(&file, configuration(servers, check))?;
        let child = Command::new("keepalived")
            .args(["--dont-fork", "--check", "--log-console", "--use-file"])
            .arg(&file)
            .arg("--pid")
            .arg(folder.join("keepalived.pid"))
            .arg("--checkers_pid")
            .arg(folder.join("checkers.pid"))
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            last: (*key, real_servers.len()),
        })
    }

    /// Waits until the table has the last entry.
    pub(crate) fn wait(&mut self, limit: Duration) -> Outcome {
        let mut client = Client::open()?;
        let deadline = Instant::now() + limit;
        while client.real_servers(&self.last.0)?.len() < self.last.1 {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("keepalived ended by itself: {status}").into());
            }
            if Instant::now() > deadline {
                return Err(format!("keepalived did not finish in {limit:?}").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Returns its processes: the parent, and the one that checks.
    pub(crate) fn processes(&self) -> Outcome<Vec<u32>> {
        family(self.child.id())
    }
}

/// keepalived would delete its entries one by one; deleting the namespace deletes all at once.
impl Drop for Keepalived {
    fn drop(&mut self) {
        // SAFETY: no pointers are involved; the group is that of the processes started here.
        unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
        // It may have exited already.
        let _ = self.child.wait();
    }
}

fn configuration(servers: &Servers, check: &str) -> String {
    let mut conf = String::from("global_defs {\n  checker_log_all_failures false\n}\n");
    for (key, real_servers) in servers {
        let VirtualServerKey::Address { address, port, .. } = key else {
            continue;
        };
        conf += &format!(
            "virtual_server {address} {port} {{\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n"
        );
        for real in real_servers {
            conf += &format!(
                "  real_server {} {} {{\n    weight 1\n    {check}\n  }}\n",
                real.address, real.port
            );
        }
        conf += "}\n";
    }
    conf
}
