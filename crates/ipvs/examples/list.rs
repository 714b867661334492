//! Prints the output of `ipvsadm -Ln`: every virtual server with its real servers and their
//! connections.
//!
//! ```text
//! cargo run -p ipvs --features client --example list
//! ```
//!
//! The example needs `CAP_NET_ADMIN` and the kernel's module `ip_vs`.

use std::error::Error;

use ipvs::client::Client;
use ipvs::{RealServerStatus, ServiceFlags, VirtualServer, VirtualServerKey};

fn main() -> Result<(), Box<dyn Error>> {
    let mut client = Client::open()?;
    let info = client.info()?;
    let (major, minor, patch) = info.version;
    println!(
        "IP Virtual Server version {major}.{minor}.{patch} (size={})",
        info.connection_table_size
    );
    println!("Prot LocalAddress:Port Scheduler Flags");
    println!("  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn");
    let table = client.table()?;
    for entry in table.entries.values() {
        print_virtual_server(&entry.server);
        entry.real_servers.iter().for_each(print_real_server);
    }
    if table.torn {
        eprintln!("the table changed while it was read: entries may be missing");
    }
    Ok(())
}

fn print_virtual_server(server: &VirtualServer) {
    match &server.key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => {
            let socket = std::net::SocketAddr::new(*address, *port);
            print!("{:<4} {socket} {}", protocol.to_string(), server.scheduler);
        }
        VirtualServerKey::Fwmark { family, mark } => {
            print!("FWM  {mark} ({family}) {}", server.scheduler);
        }
    }
    if server.flags.contains(ServiceFlags::PERSISTENT) {
        print!(" persistent {}", server.persistence_timeout.as_secs());
    }
    if server.flags.contains(ServiceFlags::ONE_PACKET) {
        print!(" ops");
    }
    println!();
}

fn print_real_server(status: &RealServerStatus) {
    let server = &status.server;
    println!(
        "  -> {:<28} {:<7} {:<6} {:<10} {}",
        server.key.to_string(),
        server.forwarding.to_string(),
        server.weight,
        status.connections.active,
        status.connections.inactive,
    );
}
