//! Output of `ipvsctl render`, and its way into a kernel by the operator's own tools.

use std::net::IpAddr;
use std::path::Path;

use crate::failure::Outcome;
use crate::namespace::Namespace;
use crate::world::World;

/// A node's tables as text, in sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered(String);

impl Rendered {
    /// Renders objects by a configuration on the node that a file describes.
    ///
    /// # Errors
    /// Where a file makes no sense.
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

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The lines of a section.
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

    /// The virtual addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        (self.section("addresses").lines())
            .filter_map(|line| line.split('/').next()?.parse().ok())
            .collect()
    }

    /// Loads all of it on the world's node, in the order in which a daemon would: what a virtual server needs comes
    /// before it.
    ///
    /// # Errors
    /// Where a tool refuses a line.
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
