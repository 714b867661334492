use super::*;

const TABLE: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000201 D431 0A60000A 0050 0A010203 1F90 ESTABLISHED     899
UDP C0000201 13C4 0A60000A 13C4 0A010203 13C4 UDP             299 sip call
";

fn read(table: &[u8]) -> (Vec<String>, Option<String>) {
    let mut states = Vec::new();
    let result = each_of(table, |connection| {
        states.push(connection.state);
        ControlFlow::Continue(())
    });
    (states, result.err().map(|error| error.to_string()))
}

#[test]
fn every_line_is_an_entry() {
    assert_eq!(
        read(TABLE.as_bytes()),
        (vec!["ESTABLISHED".to_owned(), "UDP".to_owned()], None)
    );
}

#[test]
fn an_empty_table_has_no_entries() {
    assert_eq!(read(b""), (Vec::new(), None));
    let header = TABLE.lines().next().expect("a header");
    assert_eq!(read(header.as_bytes()), (Vec::new(), None));
}

#[test]
fn bytes_of_packets_do_not_end_the_reading() {
    let mut table = TABLE.as_bytes().to_vec();
    table.pop();
    table.extend(b"\xff\xfe\n");
    assert_eq!(read(&table).0.len(), 2);
}

#[test]
fn the_caller_ends_the_reading() {
    let mut count = 0;
    let result = each_of(TABLE.as_bytes(), |_| {
        count += 1;
        ControlFlow::Break(())
    });
    assert_eq!((count, result.is_ok()), (1, true));
}

#[test]
fn errors_name_the_line() {
    let broken = TABLE.replace("UDP C0000201", "UDP ?");
    assert_eq!(
        read(broken.as_bytes()).1.expect("an error"),
        "line 3 of /proc/net/ip_vs_conn cannot be parsed"
    );
    let long = format!("{TABLE}{}", "x".repeat(1 << 20));
    assert_eq!(
        read(long.as_bytes()).1.expect("an error"),
        "line 4 of /proc/net/ip_vs_conn is longer than 4096 bytes"
    );
}
