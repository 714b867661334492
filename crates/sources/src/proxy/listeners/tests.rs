use std::net::TcpListener;

use super::{are_of_others, users};

const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2809 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 30712 1 0000000000000000 100 0 0 10 0
   1: 0100007F:2809 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 30713 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 30714 1 0000000000000000 100 0 0 10 0
";

const TABLE_6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:2809 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 1 1 0000000000000000 100 0 0 10 0
";

#[test]
fn a_listener_is_known_by_its_port_and_user() {
    assert_eq!(users(TABLE, 10249).collect::<Vec<_>>(), [1000]);
    assert_eq!(users(TABLE, 22).collect::<Vec<_>>(), [0]);
    assert_eq!(users(TABLE, 80).count(), 0);
    assert_eq!(users(TABLE_6, 10249).collect::<Vec<_>>(), [65534]);
    assert_eq!(users("", 22).count(), 0);
    assert_eq!(users("0: x 1\n\u{0} :::: 0A 0A 0A", 22).count(), 0);
}

#[test]
fn a_listener_of_this_user_is_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    assert!(!are_of_others(port));
}
