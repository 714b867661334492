//! Tests of the kernel's answers to changes: `ip_vs_genl_set_cmd` and its callees,
//! `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use ipvs::RealServer;
use ipvs::client::{ErrorKind, OpenError, Request};
use support::namespace::{UnshareFlags, drop_capabilities, unshare};

use crate::namespace::{
    add, attempt, attempts, in_bare_namespace, in_namespace, open, real, server, text,
};

const SERVER: &str = "-A -t 10.0.0.1:80 -s rr";
const REAL: &str = "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1";

#[test]
fn a_missing_virtual_server_is_esrch_for_every_command_but_new() {
    in_namespace(|client| {
        let (key, real) = real(REAL);
        let requests = [
            Request::SetService(server(SERVER)),
            Request::DelService(key),
            Request::NewDest(key, real),
            Request::SetDest(key, real),
            Request::DelDest(key, real.key),
            Request::Zero(Some(key)),
        ];
        assert_eq!(
            attempts(client, &requests),
            [Some(ErrorKind::NoSuchService); 6]
        );
        assert_eq!(client.virtual_server(&key).expect("read"), None);
    });
}

#[test]
fn existing_entries_are_not_added_again() {
    in_namespace(|client| {
        add(client, &format!("{SERVER}\n{REAL}"));
        let (key, real) = real(REAL);
        let heavier = RealServer { weight: 9, ..real };
        let other_scheduler = server("-A -t 10.0.0.1:80 -s wrr");
        let requests = [
            Request::NewService(other_scheduler),
            Request::NewDest(key, heavier),
        ];
        assert_eq!(
            attempts(client, &requests),
            [Some(ErrorKind::AlreadyExists); 2]
        );
        assert_eq!(text(client), [SERVER, REAL]);
    });
}

#[test]
fn a_missing_real_server_is_enoent() {
    in_namespace(|client| {
        add(client, SERVER);
        let (key, real) = real(REAL);
        let requests = [Request::SetDest(key, real), Request::DelDest(key, real.key)];
        assert_eq!(
            attempts(client, &requests),
            [Some(ErrorKind::NoSuchDestination); 2]
        );
    });
}

#[test]
fn an_unknown_scheduler_or_engine_is_enoent() {
    in_namespace(|client| {
        let unknown = server("-A -t 10.0.0.1:80 -s nonsense");
        let engine = server("-A -u 10.0.0.1:80 -s rr -p 60 --pe nonsense");
        add(client, SERVER);
        let requests = [
            Request::NewService(server("-A -t 10.0.0.2:80 -s nonsense")),
            Request::NewService(engine),
            Request::SetService(unknown),
        ];
        assert_eq!(
            attempts(client, &requests),
            [Some(ErrorKind::UnknownScheduler); 3]
        );
        assert_eq!(text(client), [SERVER]);
    });
}

#[test]
fn deleting_a_virtual_server_deletes_its_real_servers() {
    in_namespace(|client| {
        add(client, &format!("{SERVER}\n{REAL}"));
        let (key, _) = real(REAL);
        assert_eq!(attempt(client, Request::DelService(key)), None);
        add(client, SERVER);
        assert_eq!(text(client), [SERVER]);
    });
}

#[test]
fn changing_a_virtual_server_keeps_its_real_servers() {
    in_namespace(|client| {
        add(client, &format!("{SERVER}\n{REAL}"));
        let line = "-A -t 10.0.0.1:80 -s wlc -p 30 -M 255.255.0.0 -b flag-2";
        assert_eq!(attempt(client, Request::SetService(server(line))), None);
        assert_eq!(text(client), [line, REAL]);
        assert_eq!(attempt(client, Request::SetService(server(SERVER))), None);
        assert_eq!(text(client), [SERVER, REAL]);
    });
}

#[test]
fn changing_a_real_server_changes_every_setting() {
    in_namespace(|client| {
        add(client, &format!("{SERVER}\n{REAL}"));
        let line = "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -i -w 0 --tun-type gue --tun-port 6080 \
                    --tun-csum -x 9 -y 3";
        let (key, changed) = real(line);
        assert_eq!(attempt(client, Request::SetDest(key, changed)), None);
        assert_eq!(text(client), [SERVER, line]);
    });
}

#[test]
fn flushing_deletes_everything() {
    in_namespace(|client| {
        add(client, &format!("{SERVER}\n{REAL}\n-A -f 7 -6 -s rr"));
        assert_eq!(attempt(client, Request::Flush), None);
        assert!(text(client).is_empty());
        assert_eq!(attempt(client, Request::Flush), None);
    });
}

#[test]
fn real_servers_need_lo_to_be_up() {
    in_bare_namespace(|client| {
        add(client, SERVER);
        let (key, real) = real(REAL);
        assert_eq!(
            attempt(client, Request::NewDest(key, real)),
            Some(ErrorKind::Invalid)
        );
    });
}

#[test]
fn each_network_namespace_has_its_own_table() {
    in_namespace(|client| {
        add(client, SERVER);
        in_namespace(|other| assert!(text(other).is_empty()));
        assert_eq!(text(client), [SERVER]);
    });
}

#[test]
fn socket_stays_in_its_network_namespace() {
    in_namespace(|client| {
        add(client, SERVER);
        unshare(UnshareFlags::NEWNET).expect("a fresh namespace");
        assert_eq!(text(client), [SERVER]);
        assert!(text(&mut open()).is_empty());
    });
}

#[test]
fn every_command_needs_cap_net_admin() {
    in_namespace(|client| {
        add(client, SERVER);
        let (key, real) = real(REAL);
        drop_capabilities();
        // The request for the family needs no capability.
        let mut client = ipvs::client::Client::open().unwrap_or_else(|error| match error {
            OpenError::NoFamily => panic!("the family was there a moment ago"),
            other => panic!("{other}"),
        });
        let requests = [
            Request::NewService(server("-A -t 10.0.0.2:80 -s rr")),
            Request::NewDest(key, real),
            Request::DelService(key),
            Request::Flush,
        ];
        assert_eq!(
            attempts(&mut client, &requests),
            [Some(ErrorKind::NotPermitted); 4]
        );
        let kinds = [
            client.virtual_servers().map(drop).map_err(|e| e.kind()),
            client.virtual_server(&key).map(drop).map_err(|e| e.kind()),
            client.real_servers(&key).map(drop).map_err(|e| e.kind()),
            client.timeouts().map(drop).map_err(|e| e.kind()),
            client.info().map(drop).map_err(|e| e.kind()),
            client.sync_daemons().map(drop).map_err(|e| e.kind()),
            client.table().map(drop).map_err(|e| e.kind()),
        ];
        assert_eq!(kinds, [Err(ErrorKind::NotPermitted); 7]);
    });
}
