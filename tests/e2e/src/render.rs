//! Output of `ipvsctl render`, and its loading into a kernel with the usual tools.

use std::net::IpAddr;
use std::path::Path;

use crate::failure::Outcome;
use crate::namespace::Namespace;
use crate::world::World;

/// Tables of a node as text in sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered(String);

impl Rendered {
    /// Renders `objects` for the node that `node_state` describes.
    ///
    /// # Errors
    /// If a file cannot be parsed.
    pub fn of(world: &World, objects: &Path, node_state: &Path, config: &Path) -> Outcome<Self> {
        let ran = world.ipvsctl(&[
            &"render",
            &"-f",
            &objects,
            &"--node-state",
            &node_state,
            &"--config",
            &config,
        ])?;
        Ok(Self(ran.exits(0)?.out))
    }

    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns the lines of a section.
    #[must_use]
    pub fn section(&self, heading: &str) -> String {
        let mut inside = false;
        let mut lines = String::new();
        for line in self.0.lines() {
            match line.strip_prefix("# ") {
                Some(found) => inside = found == heading,
                None if inside => lines.extend([line, "\n"]),
                None => {}
            }
        }
        lines
    }

    /// Returns the virtual addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        (self.section("addresses").lines())
            .filter_map(|line| line.split('/').next()?.parse().ok())
            .collect()
    }

    /// Loads the tables on the world's node in the order of the daemon: virtual servers last, after
    /// all entries that they need.
    ///
    /// # Errors
    /// If a tool refuses a line.
    pub fn load(&self, world: &World) -> Outcome {
        self.load_settings(&world.node)?;
        for (tool, heading) in [
            ("ipset restore", "ipset"),
            ("iptables-legacy-restore --noflush", "rules4"),
            ("ip6tables-legacy-restore --noflush", "rules6"),
        ] {
            world.tool_with_input(tool, &self.section(heading))?;
        }
        let mut lines = vec!["link add kube-ipvs0 type dummy".to_owned()];
        let addresses = self.section("addresses");
        lines.extend((addresses.lines()).map(|line| format!("address add {line} dev kube-ipvs0")));
        world.node.ip(&lines)?;
        world.tool_with_input("ipvsadm -R", &self.section("ipvs"))?;
        Ok(())
    }

    fn load_settings(&self, node: &Namespace) -> Outcome {
        for line in self.section("sysctl").lines() {
            let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
            let name = name.trim_start_matches("net.").replace('.', "/");
            node.sysctl(&name, value)?;
        }
        Ok(())
    }
}
