//! Tests that readings are complete.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use ipvs::VirtualServer;
use ipvs::client::Request;

use crate::namespace::{add, do_all, in_namespace, open, real, server, table_text, text};

#[test]
fn list_of_ten_thousand_real_servers_is_complete() {
    in_namespace(|client| {
        let server = server("-A -t 10.0.0.1:80 -s rr");
        let (key, template) = real("-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1");
        let mut batch = vec![Request::NewService(server)];
        let mut expected = BTreeSet::new();
        for number in 0_u16..10_000 {
            let [high, low] = number.to_be_bytes();
            let mut real = template;
            real.key.address = std::net::Ipv4Addr::new(10, 1, high, low).into();
            expected.insert(real);
            batch.push(Request::NewDest(key, real));
        }
        // 10.1.0.0 is a valid address of a real server.
        do_all(client, &batch);
        let read = client.real_servers(&key).expect("read");
        assert_eq!(read.len(), 10_000);
        let read: BTreeSet<_> = read.into_iter().map(|status| status.server).collect();
        assert_eq!(read, expected);
        let table = client.table().expect("read");
        assert!(!table.torn);
        assert_eq!(table.entries[&key].real_servers.len(), 10_000);
    });
}

#[test]
fn real_servers_of_a_missing_virtual_server_are_an_empty_list() {
    in_namespace(|client| {
        let (key, _) = real("-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1");
        assert_eq!(client.real_servers(&key).expect("read"), []);
        let table = client.entries(&[key]).expect("read");
        assert!(table.entries.is_empty() && !table.torn);
    });
}

#[test]
fn entries_returns_the_requested_ones() {
    in_namespace(|client| {
        add(client, &table_text(3, 2));
        let present = server("-A -t 10.96.0.1:80 -s rr").key;
        let missing = server("-A -t 10.96.9.9:80 -s rr").key;
        let table = client.entries(&[present, missing]).expect("read");
        assert!(!table.torn);
        let keys: Vec<_> = table.entries.keys().copied().collect();
        assert_eq!(keys, [present]);
        assert_eq!(table.entries[&present].real_servers.len(), 2);
    });
}

/// The kernel's dumps resume by index. A list that is read while another writer deletes entries may
/// lack existing ones, and the table must then be torn.
#[test]
fn table_read_during_writes_is_whole_or_torn() {
    const READS: usize = 8;
    in_namespace(|client| {
        add(client, &table_text(2_000, 0));
        // Every second entry stays; the others are added and deleted.
        let (go, stay): (Vec<_>, Vec<_>) = (table_text(2_000, 0).lines())
            .map(server)
            .enumerate()
            .partition(|(number, _)| number % 2 == 1);
        let changes: Vec<[Request; 2]> = go
            .into_iter()
            .map(|(_, server)| [Request::DelService(server.key), Request::NewService(server)])
            .collect();
        let mut writer = open();
        let done = AtomicBool::new(false);
        let (mut whole, mut torn, mut silent) = (0, 0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for change in changes.iter().cycle() {
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                    do_all(&mut writer, change);
                    std::thread::yield_now();
                }
            });
            for _ in 0..READS {
                let once = client.virtual_servers().expect("read");
                let once: BTreeSet<_> = once.iter().map(|(server, _)| server.key).collect();
                silent += usize::from(!stay.iter().all(|(_, server)| once.contains(&server.key)));
                let table = client.table().expect("read");
                if table.torn {
                    torn += 1;
                } else {
                    whole += 1;
                    let there = |server: &VirtualServer| table.entries.contains_key(&server.key);
                    assert!(
                        stay.iter().all(|(_, server)| there(server)),
                        "a table that is not torn is whole"
                    );
                }
            }
            done.store(true, Ordering::Release);
        });
        println!("{whole} whole, {torn} torn; {silent} of {READS} single dumps lost entries");
        assert!(torn > 0, "nothing was disturbed");
        assert_eq!(text(client).len(), 2_000);
    });
}
