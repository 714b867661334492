//! State that a real kube-proxy left on its node.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use e2e::{Context as _, Outcome, World};

/// A recording.
pub(crate) struct Recorded {
    /// The cluster's objects.
    pub(crate) objects: String,
    /// The proxy's configuration.
    pub(crate) config: String,
    folder: PathBuf,
}

impl Recorded {
    pub(crate) fn read(name: &str) -> Outcome<Self> {
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/recordings");
        let folder = all.join(name);
        let text = |path: PathBuf| {
            fs::read_to_string(&path).context(|| format!("reading {}", path.display()))
        };
        let common = text(all.join("common.yaml"))?;
        let objects = text(folder.join("objects.yaml"))?;
        let config = text(folder.join("config.yaml"))?;
        Ok(Self {
            objects: format!("{common}\n---\n{objects}"),
            config,
            folder: folder.join("recorded"),
        })
    }

    /// Loads the recorded state into the kernel.
    pub(crate) fn load(&self, world: &World) -> Outcome {
        world.tool("ip link add kube-ipvs0 type dummy")?;
        for address in self.lines("addresses.txt")? {
            world.tool(&format!("ip address add {address} dev kube-ipvs0 nodad"))?;
        }
        for setting in self.lines("sysctl.txt")? {
            let setting = setting.replace(" = ", "=");
            // Only the initial network namespace can change the limit, and the recorded node did
            // not forward IPv6.
            if !setting.contains("nf_conntrack_max") && !setting.contains("ipv6") {
                world.tool(&format!("sysctl -q -w {setting}"))?;
            }
        }
        let (creates, entries): (Vec<String>, Vec<String>) = (self.lines("ipset.txt")?)
            .into_iter()
            .partition(|line| line.starts_with("create "));
        let sets = [creates, entries].concat().join("\n") + "\n";
        world.tool_with_input("ipset restore", &sets)?;
        for (program, file) in [
            ("iptables-restore", "iptables.txt"),
            ("ip6tables-restore", "ip6tables.txt"),
        ] {
            world.tool_with_input(program, &(self.lines(file)?.join("\n") + "\n"))?;
        }
        let mut servers = self.lines("ipvs.txt")?;
        servers.sort();
        world.tool_with_input("ipvsadm --restore", &(servers.join("\n") + "\n"))?;
        Ok(())
    }

    /// Writes kube-proxy's chains again, as kube-proxy does if they differ.
    pub(crate) fn load_rules(&self, world: &World) -> Outcome {
        for (program, file) in [
            ("iptables-restore --noflush", "iptables.txt"),
            ("ip6tables-restore --noflush", "ip6tables.txt"),
        ] {
            let ours = |line: &String| {
                [":KUBE-", "-A KUBE-", "*", "COMMIT"]
                    .iter()
                    .any(|head| line.starts_with(head))
            };
            let chains: Vec<String> = self.lines(file)?.into_iter().filter(ours).collect();
            world.tool_with_input(program, &(chains.join("\n") + "\n"))?;
        }
        Ok(())
    }

    /// Returns the TCP addresses that pods serve.
    pub(crate) fn targets(&self) -> Vec<SocketAddr> {
        let lines = self.lines("ipvs.txt").unwrap_or_default();
        let served: BTreeSet<SocketAddr> = (lines.iter())
            .filter(|line| line.starts_with("-a -t ") && line.contains(":8080 "))
            .filter_map(|line| line.split(' ').nth(2)?.parse().ok())
            .collect();
        served.into_iter().collect()
    }

    fn lines(&self, file: &str) -> Outcome<Vec<String>> {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).context(|| format!("reading {}", path.display()))?;
        Ok((text.lines())
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect())
    }
}
