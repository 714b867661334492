//! Forwarding method of packets to endpoints on other hosts.

use std::collections::BTreeMap;

use ipvs::{Forwarding, Tunnel, TunnelFlags, TunnelKind};

use super::value::{Given, Value, number, quoted, refuse_others};

/// Names of the methods, as in a VirtualServer.
const METHODS: &str = "masquerade, direct, tunnel";
/// Names of the kinds of tunnels.
const TYPES: &str = "ipip, gre, gue";
/// Names of the checksums of a tunnel.
const CHECKSUMS: &str = "none, full, remote";

/// Forwarding method of a policy: [`Forwarding::Masquerade`], [`Forwarding::DirectRoute`] or
/// [`Forwarding::Tunnel`] with settings that every kernel with this kind of tunnel accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardingMethod(Forwarding);

impl ForwardingMethod {
    /// Returns the method of packets to endpoints on other hosts; `None` if they are masqueraded
    /// like all others.
    #[must_use]
    pub fn unrewritten(self) -> Option<Forwarding> {
        (self.0 != Forwarding::Masquerade).then_some(self.0)
    }
}

impl Value for ForwardingMethod {
    fn form() -> String {
        "`masquerade`, `direct` or `method=tunnel`; with `method=tunnel` also `type=ipip`, `gre` or `gue`, \
         with `type=gue` `port=NUMBER`, and `checksum=none`, `full` (`gre` and `gue`) or `remote` (`gue`)"
            .to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = match given {
            Given::Text(text) if !text.contains('=') => BTreeMap::from([("method", text.trim())]),
            _ => given.pairs()?,
        };
        let method = match pairs.remove("method") {
            Some("masquerade") => Forwarding::Masquerade,
            Some("direct") => Forwarding::DirectRoute,
            Some("tunnel") => Forwarding::Tunnel(read_tunnel(&mut pairs)?),
            Some(other) => return Err(format!("{} is none of {METHODS}", quoted(other))),
            None => return Err(format!("needs method=METHOD, one of {METHODS}")),
        };
        if let Some(key) = ["type", "port", "checksum"]
            .into_iter()
            .find(|key| pairs.contains_key(key))
        {
            return Err(format!("{key} is only for method=tunnel"));
        }
        refuse_others(&pairs, "method, type, port, checksum")?;
        Ok(Self(method))
    }

    fn write(&self) -> String {
        let tunnel = match self.0 {
            Forwarding::Tunnel(tunnel) => tunnel,
            Forwarding::DirectRoute => return "direct".to_owned(),
            _ => return "masquerade".to_owned(),
        };
        let mut text = format!("method=tunnel, type={}", tunnel.kind);
        if tunnel.port != 0 {
            text.push_str(&format!(", port={}", tunnel.port));
        }
        if tunnel.flags == TunnelFlags::CSUM {
            text.push_str(", checksum=full");
        } else if tunnel.flags == TunnelFlags::REMCSUM {
            text.push_str(", checksum=remote");
        }
        text
    }
}

/// Takes the settings of a tunnel from `pairs`. Settings that the kernel would store and ignore are
/// refused (`ip_vs_tunnel_xmit`, `net/netfilter/ipvs/ip_vs_xmit.c`, Linux 6.1).
fn read_tunnel(pairs: &mut BTreeMap<&str, &str>) -> Result<Tunnel, String> {
    let kind = match pairs.remove("type") {
        None | Some("ipip") => TunnelKind::Ipip,
        Some("gre") => TunnelKind::Gre,
        Some("gue") => TunnelKind::Gue,
        Some(other) => return Err(format!("type: {} is none of {TYPES}", quoted(other))),
    };
    let port = match (kind, pairs.remove("port")) {
        (TunnelKind::Gue, None) => return Err("needs port=NUMBER with type=gue".to_owned()),
        (TunnelKind::Gue, Some(text)) => number(text, 1, u16::MAX.into())
            .map(|port| u16::try_from(port).unwrap_or(u16::MAX))
            .map_err(|problem| format!("port: {problem}"))?,
        (_, None) => 0,
        (_, Some(_)) => return Err("port is only for type=gue".to_owned()),
    };
    let flags = match (kind, pairs.remove("checksum")) {
        (_, None | Some("none")) => TunnelFlags::empty(),
        (TunnelKind::Gre | TunnelKind::Gue, Some("full")) => TunnelFlags::CSUM,
        (TunnelKind::Gue, Some("remote")) => TunnelFlags::REMCSUM,
        (_, Some(name @ ("full" | "remote"))) => {
            return Err(format!("type={kind} has no checksum={name}"));
        }
        (_, Some(other)) => {
            return Err(format!(
                "checksum: {} is none of {CHECKSUMS}",
                quoted(other)
            ));
        }
    };
    Ok(Tunnel { kind, port, flags })
}
