use std::net::TcpListener;

use super::{are_of_others, listeners, read};

const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2809 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 30712 1 0000000000000000 100 0 0 10 0
   1: 0100007F:2809 0100007F:9C41 03 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 30714 1 0000000000000000 100 0 0 10 0
   3: 0100007F:2809 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 30713 1 0000000000000000 20 4 30 10 -1
   4: 0100007F:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 30715 1 0000000000000000 20 4 30 10 -1
";

const TABLE_6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:2809 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 1 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:2810 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0000000000000000 100 0 0 10 0
";

fn found(table: &str) -> Vec<(String, u32, u64)> {
    let listeners = read(table.as_bytes()).expect("text");
    (listeners.iter())
        .map(|one| (one.address.to_string(), one.user, one.inode))
        .collect()
}

/// The tables are from a little-endian processor.
#[cfg(target_endian = "little")]
#[test]
fn a_listener_is_identified_by_address_and_user() {
    let expected = [("127.0.0.1:10249", 1000, 30712), ("0.0.0.0:22", 0, 30714)];
    let expected = expected.map(|(address, user, inode)| (address.to_owned(), user, inode));
    assert_eq!(
        found(TABLE),
        expected,
        "reading ends at the first connection"
    );
    let expected = [("[::]:10249", 65534, 1), ("[::1]:10256", 0, 2)];
    let expected = expected.map(|(address, user, inode)| (address.to_owned(), user, inode));
    assert_eq!(found(TABLE_6), expected);
}

#[test]
fn invalid_tables_have_no_listeners() {
    for table in [
        "",
        "x",
        "x\n0: x 1\n\u{0} :::: 0A 0A 0A",
        "x\n0: é:1 0:0 0A\n",
    ] {
        assert_eq!(found(table), []);
    }
}

#[test]
fn a_listener_of_this_user_is_not_of_others() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let all = listeners().expect("the kernel's tables");
    assert!(all.iter().any(|listener| listener.address == address));
    assert!(!are_of_others(address.port()));
}
