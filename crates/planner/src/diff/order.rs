//! Order in which real servers are added (deviation D7).

use std::net::IpAddr;

use ipvs::{AddressFamily, RealServer, RealServerKey, VirtualServerKey};

/// Orders the real servers of `key`. Each node has a different order, which is the same at every
/// start. The scheduler `rr` begins with the first real server, and would otherwise begin with the
/// same one on every node.
pub(super) fn of_node<'a>(
    node_name: &str,
    key: VirtualServerKey,
    real_servers: impl Iterator<Item = &'a RealServer>,
) -> Vec<&'a RealServer> {
    let mut ordered: Vec<&RealServer> = real_servers.collect();
    ordered.sort_by_cached_key(|real| (rank(node_name, key, real.key), real.key));
    ordered
}

fn rank(node_name: &str, key: VirtualServerKey, real: RealServerKey) -> u64 {
    let mut hash = Hash::NEW;
    hash.add(node_name.as_bytes());
    match key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => {
            hash.add_address(address);
            hash.add(&port.to_be_bytes());
            hash.add(&[protocol.number()]);
        }
        VirtualServerKey::Fwmark { mark, family } => {
            hash.add(&mark.get().to_be_bytes());
            hash.add(&[u8::from(family == AddressFamily::Ipv6)]);
        }
    }
    hash.add_address(real.address);
    hash.add(&real.port.to_be_bytes());
    hash.finish()
}

/// FNV-1a with a final mix, so that every input bit affects the high bits. The result is the same
/// on all machines and in all releases, unlike that of the standard library's hasher.
struct Hash(u64);

impl Hash {
    const NEW: Self = Self(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }

    fn add_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.add(&address.octets()),
            IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }
}
