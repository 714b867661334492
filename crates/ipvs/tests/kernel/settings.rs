//! Tests of timeouts, version, counters and connections.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ipvs::client::Request;
use ipvs::{Statistics, Timeouts};

use crate::namespace::{add, attempt, in_namespace, real};

#[test]
fn zero_keeps_a_default_timeout() {
    let seconds = Duration::from_secs;
    in_namespace(|client| {
        let start = Timeouts {
            tcp: seconds(900),
            tcp_fin: seconds(120),
            udp: seconds(300),
        };
        assert_eq!(client.timeouts().expect("read"), start);
        let change = Timeouts {
            tcp: seconds(77),
            udp: seconds(33),
            ..Timeouts::default()
        };
        assert_eq!(attempt(client, Request::SetTimeouts(change)), None);
        let changed = Timeouts {
            tcp_fin: start.tcp_fin,
            ..change
        };
        assert_eq!(client.timeouts().expect("read"), changed);
    });
}

#[test]
fn the_version_and_the_table_size_are_known() {
    in_namespace(|client| {
        let info = client.info().expect("read");
        assert_eq!(info.version, (1, 2, 1));
        // 0 if the kernel creates the table with the first connection.
        assert!(info.connection_table_size.count_ones() <= 1);
    });
}

const TO_THIS_HOST: &str = "-A -t 127.0.0.2:80 -s rr\n-a -t 127.0.0.2:80 -r 127.0.0.1:8080 -m -w 1";

#[test]
fn connections_are_counted_until_zeroed() {
    in_namespace(|client| {
        add(client, TO_THIS_HOST);
        let (key, _) = real("-a -t 127.0.0.2:80 -r 127.0.0.1:8080 -m -w 1");
        let listener = TcpListener::bind("127.0.0.1:8080").expect("listen");
        let stream = TcpStream::connect("127.0.0.2:80").expect("connect");
        let accepted = listener.accept().expect("accept");
        let status = client.real_servers(&key).expect("read")[0];
        assert_eq!(status.connections.active, 1);
        // The kernel updates the counters every two seconds, `ip_vs_est.c`.
        let deadline = Instant::now() + Duration::from_secs(10);
        let statistics = loop {
            let (_, statistics) = client.virtual_server(&key).expect("read").expect("there");
            if statistics.connections > 0 || Instant::now() > deadline {
                break statistics;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(statistics.connections, 1);
        assert!(statistics.packets_in >= 2 && statistics.bytes_in > 0);
        let status = client.real_servers(&key).expect("read")[0];
        assert_eq!(status.statistics.connections, 1);

        assert_eq!(attempt(client, Request::Zero(Some(key))), None);
        let (_, statistics) = client.virtual_server(&key).expect("read").expect("there");
        assert_eq!(statistics.connections, 0);
        assert_eq!(statistics.packets_in, 0);
        assert_eq!(attempt(client, Request::Zero(None)), None);
        drop((stream, accepted));
    });
}

#[test]
fn readded_real_server_keeps_its_connections() {
    in_namespace(|client| {
        add(client, TO_THIS_HOST);
        let (key, server) = real("-a -t 127.0.0.2:80 -r 127.0.0.1:8080 -m -w 1");
        let listener = TcpListener::bind("127.0.0.1:8080").expect("listen");
        let stream = TcpStream::connect("127.0.0.2:80").expect("connect");
        let accepted = listener.accept().expect("accept");
        assert_eq!(attempt(client, Request::DelDest(key, server.key)), None);
        assert_eq!(client.real_servers(&key).expect("read"), []);
        assert_eq!(attempt(client, Request::NewDest(key, server)), None);
        let status = client.real_servers(&key).expect("read")[0];
        assert_eq!(status.connections.active, 1);
        assert_eq!(status.statistics, Statistics::default());
        drop((stream, accepted));
    });
}

#[test]
fn a_virtual_server_starts_from_zero() {
    in_namespace(|client| {
        add(client, TO_THIS_HOST);
        let servers = client.virtual_servers().expect("read");
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].1, Statistics::default());
    });
}
