//! Takes a real server out of service without breaking connections: sets its weight to 0, waits
//! until its connections have ended, and deletes it.
//!
//! ```text
//! cargo run -p ipvs --features client --example drain -- 10.1.2.3:8080 60
//! ```
//!
//! The server is drained in every virtual server that has it. It is deleted after the given number
//! of seconds (default 60), even if it still has connections.

use std::error::Error;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ipvs::client::{Client, Request, Table};
use ipvs::{RealServer, RealServerKey, RealServerStatus, VirtualServerKey};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let socket: SocketAddr = arguments
        .next()
        .ok_or("usage: drain ADDRESS:PORT [SECONDS]")?
        .parse()?;
    let seconds = arguments.next().map_or(Ok(60), |word| word.parse())?;
    let key = RealServerKey::from(socket);
    let deadline = Instant::now() + Duration::from_secs(seconds);

    let mut client = Client::open()?;
    let places = places(&client.table()?, key);
    // A server with weight 0 gets no new connections and keeps the old ones.
    let idle = |(server, status): &(VirtualServerKey, RealServerStatus)| {
        let weightless = RealServer {
            weight: 0,
            ..status.server
        };
        Request::SetDest(*server, weightless)
    };
    execute(&mut client, &places.iter().map(idle).collect::<Vec<_>>())?;
    loop {
        let open = open_connections(&mut client, &places, key)?;
        println!("{open} connections");
        if open == 0 || Instant::now() >= deadline {
            break;
        }
        sleep(Duration::from_millis(500));
    }
    let delete =
        |(server, _): &(VirtualServerKey, RealServerStatus)| Request::DelDest(*server, key);
    execute(&mut client, &places.iter().map(delete).collect::<Vec<_>>())?;
    println!("{key} is out of {} virtual servers", places.len());
    Ok(())
}

/// Returns every virtual server that has `key`, with the status of `key` there.
fn places(table: &Table, key: RealServerKey) -> Vec<(VirtualServerKey, RealServerStatus)> {
    let of_entry = |entry: &ipvs::client::TableEntry| {
        let statuses = entry.real_servers.iter();
        let of_key = statuses.copied().find(|status| status.server.key == key);
        of_key.map(|status| (entry.server.key, status))
    };
    table.entries.values().filter_map(of_entry).collect()
}

fn open_connections(
    client: &mut Client,
    places: &[(VirtualServerKey, RealServerStatus)],
    key: RealServerKey,
) -> Result<u32, Box<dyn Error>> {
    let mut sum = 0;
    for (server, _) in places {
        let statuses = client.real_servers(server)?;
        let of_key = statuses.iter().filter(|status| status.server.key == key);
        sum += of_key
            .map(|status| status.connections.active + status.connections.inactive)
            .sum::<u32>();
    }
    Ok(sum)
}

fn execute(client: &mut Client, requests: &[Request]) -> Result<(), Box<dyn Error>> {
    let outcomes = client.execute(requests);
    outcomes.into_iter().collect::<Result<(), _>>()?;
    Ok(())
}
