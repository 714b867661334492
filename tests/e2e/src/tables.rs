//! Tables of the node's kernel, read with the usual tools.

use std::collections::BTreeSet;
use std::fmt;

use crate::failure::{Failure, Outcome};
use crate::namespace::Namespace;
use crate::process::run;

/// Live or desired tables of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Lines of `ipvsadm-save -n`.
    pub ipvs: BTreeSet<String>,
    /// Addresses of `kube-ipvs0` as `ADDRESS/LENGTH`.
    pub addresses: BTreeSet<String>,
}

impl Tables {
    /// Reads the tables from the kernel.
    pub(crate) fn read(node: &Namespace) -> Outcome<Self> {
        let mut ipvsadm = node.command("ipvsadm");
        ipvsadm.args(["--save", "--numeric"]);
        let mut ip = node.command("ip");
        ip.args(["-oneline", "address", "show"]);
        Ok(Self {
            ipvs: lines(&run(ipvsadm)?.exits(0)?.out).collect(),
            addresses: lines(&run(ip)?.exits(0)?.out)
                .filter_map(|line| address(&line))
                .collect(),
        })
    }

    /// Fails unless the node accepts packets to each of the addresses. The kernel adds the local
    /// route of an IPv6 address after the answer to the request, in its work queue `addrconf_wq`
    /// (`addrconf_dad_start` of `net/ipv6/addrconf.c`), even with `nodad`; until then a packet to it
    /// is answered with "no route".
    pub(crate) fn are_local(&self, node: &Namespace) -> Outcome {
        let mut ip = node.command("ip");
        ip.args(["-6", "-oneline", "route", "show", "table", "local"]);
        let routes = run(ip)?.exits(0)?.out;
        let local: BTreeSet<&str> = (routes.lines())
            .filter_map(|line| line.strip_prefix("local ")?.split_whitespace().next())
            .collect();
        let missing: Vec<&str> = (self.addresses.iter())
            .filter_map(|address| address.strip_suffix("/128"))
            .filter(|address| !local.contains(address))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("no local routes yet: {missing:?}")))
    }

    /// Parses the output of `ipvsctl render`.
    pub(crate) fn parse(text: &str) -> Self {
        let (ipvs, addresses) = lines(text)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .partition(|line| line.starts_with('-'));
        Self { ipvs, addresses }
    }

    /// Returns true if `line` is a real server of weight 0, which drains unless it is desired.
    #[must_use]
    pub fn is_drained(line: &str) -> bool {
        line.starts_with("-a ") && line.ends_with(" -w 0")
    }

    /// Fails with the difference unless the tables equal `expected`. Draining real servers are
    /// ignored.
    ///
    /// # Errors
    /// If there is a difference.
    pub fn are(&self, expected: &Self) -> Outcome {
        let drains = |line: &&String| Self::is_drained(line) && !expected.ipvs.contains(*line);
        let settled = Self {
            ipvs: (self.ipvs.iter())
                .filter(|line| !drains(line))
                .cloned()
                .collect(),
            addresses: self.addresses.clone(),
        };
        if settled == *expected {
            return Ok(());
        }
        let mut text = String::from("the tables differ");
        let pairs = [
            (&settled.ipvs, &expected.ipvs),
            (&settled.addresses, &expected.addresses),
        ];
        for (is, should) in pairs {
            let missing = should.difference(is).map(|line| ("missing", line));
            let excess = is.difference(should).map(|line| ("unexpected", line));
            let all: Vec<_> = missing.chain(excess).collect();
            for (what, line) in all.iter().take(10) {
                text.push_str(&format!("\n  {what}: {line}"));
            }
            if all.len() > 10 {
                text.push_str(&format!("\n  and {} more", all.len() - 10));
            }
        }
        Err(Failure::new(text))
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.ipvs.iter().chain(&self.addresses) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|line| line.trim_end().to_owned())
}

/// Returns the address in a line of `ip -oneline address`, if it is on our device.
fn address(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let address = words.get(3)?;
    (words.get(1) == Some(&"kube-ipvs0") && !address.starts_with("fe80:"))
        .then(|| (*address).to_owned())
}
