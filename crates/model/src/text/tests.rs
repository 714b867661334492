use super::{TextError, parse, print};

const SAVED: &str = "\
# ipvs
-A -t 10.96.0.1:443 -s rr
-A -u [fd00:10:96::15]:53 -s wrr -p 600
-a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1
-a -u [fd00:10:96::15]:53 -r [fd00:10:244:1::5]:53 -m -w 0
# addresses
10.96.0.1/32
fd00:10:96::15/128
";

fn check_error(text: &str, line: usize, problem: &str) {
    let problem = problem.to_owned();
    assert_eq!(parse(text), Err(TextError { line, problem }));
}

#[test]
fn what_is_printed_parses_back() {
    let tables = parse(SAVED).expect("it parses");
    assert_eq!(print(&tables), SAVED);
}

#[test]
fn a_saved_ipvs_table_alone_is_read_as_it_is() {
    let saved = "-a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1\n-A -t 10.96.0.1:443 -s rr\n";
    let tables = parse(saved).expect("it parses");
    assert_eq!(tables.virtual_servers.len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    check_error(
        "# addresses\n10.96.0.0/16\n",
        2,
        "10.96.0.0/16 is a network, not a host's address",
    );
    check_error(
        "# addresses\nnonsense\n",
        2,
        "`nonsense` is not an address with its length",
    );
    check_error(
        "-a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1\n",
        1,
        "no line adds the virtual server 10.96.0.1:443/TCP",
    );
    check_error(
        "-A -t 10.96.0.1:443 -s rr\n-A -t 10.96.0.1:443 -s wrr\n",
        2,
        "virtual server 10.96.0.1:443/TCP is there twice",
    );
}
