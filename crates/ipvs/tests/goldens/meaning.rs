//! Tests that the arguments of ipvsadm's command line are in its requests and in the kernel's
//! answers.

use std::collections::BTreeMap;

use ipvs::codec::attributes::Nested;
use ipvs::codec::convert::{
    destination_attributes, destination_key_attributes, key_attributes, read_daemon,
    read_destination, read_info, read_service, read_timeouts, service_attributes, service_request,
    set_timeouts,
};
use ipvs::codec::{Attributes, Command, CommandAttribute, DestinationAttribute, Message};
use ipvs::text::{Line, parse_line, print_real_server, print_virtual_server};
use ipvs::{AddressFamily, Timeouts};
use support::golden::Direction;

use crate::format::explain;
use crate::{GOLDENS, message};

/// Returns the line for the arguments of `ipvsadm -A`, `-E`, `-a` or `-e`.
fn line_of(command: &str) -> Option<Line> {
    let arguments = command.strip_prefix("ipvsadm ")?;
    let text = match arguments.split_at_checked(2)? {
        ("-E", rest) => format!("-A{rest}"),
        ("-e", rest) => format!("-a{rest}"),
        ("-A" | "-a", _) => arguments.to_owned(),
        _ => return None,
    };
    Some(parse_line(&text).unwrap_or_else(|problem| panic!("{command}: {problem}")))
}

/// Returns the lines of `ipvsadm-save` for this message.
fn lines(message: &Message) -> Vec<String> {
    let Attributes::Command(attributes) = &message.attributes else {
        return Vec::new();
    };
    let mut key = None;
    let mut lines = Vec::new();
    for attribute in attributes {
        match attribute {
            CommandAttribute::Service(nested) => {
                let (server, _) = read_service(&nested.attributes).expect("a virtual server");
                key = Some(server.key);
                lines.push(print_virtual_server(&server));
            }
            CommandAttribute::Destination(nested) => {
                let key = key.expect("ipvsadm names the virtual server first");
                let family = key.family();
                let status = read_destination(&nested.attributes, family).expect("a real server");
                lines.push(print_real_server(&key, &status.server));
            }
            _ => {}
        }
    }
    lines
}

/// Calls every conversion, to find panics.
pub(crate) fn read_all(message: &Message) {
    let _ = (read_info(message), read_timeouts(message));
    if let Attributes::Command(attributes) = &message.attributes {
        for attribute in attributes {
            match attribute {
                CommandAttribute::Service(nested) => drop(read_service(&nested.attributes)),
                CommandAttribute::Destination(nested) => {
                    for family in AddressFamily::ALL {
                        let _ = read_destination(&nested.attributes, family);
                    }
                }
                CommandAttribute::Daemon(nested) => drop(read_daemon(&nested.attributes)),
                _ => {}
            }
        }
    }
}

#[test]
fn requests_of_ipvsadm_decode_to_their_arguments() {
    let mut count = 0;
    for golden in GOLDENS.all() {
        let name = &golden.name;
        let Some(line) = line_of(&golden.command) else {
            continue;
        };
        count += 1;
        let told = match line {
            Line::VirtualServer(server) => print_virtual_server(&server),
            Line::RealServer(key, real) => print_real_server(&key, &real),
        };
        let read = lines(&message(&golden.messages[0]));
        assert_eq!(read.last(), Some(&told), "{name}");
    }
    assert!(count > 15, "{count} requests");
}

/// Every attribute that this crate sends is among those that ipvsadm sends, with the same value.
#[test]
fn requests_have_the_attributes_of_ipvsadm() {
    for golden in GOLDENS.all() {
        let name = &golden.name;
        let Some(line) = line_of(&golden.command) else {
            continue;
        };
        let theirs = message(&golden.messages[0]);
        let attributes = match line {
            Line::VirtualServer(server) => vec![CommandAttribute::Service(Nested::new(
                service_attributes(&server),
            ))],
            Line::RealServer(key, real) => vec![
                CommandAttribute::Service(Nested::new(key_attributes(&key))),
                CommandAttribute::Destination(Nested::new(destination_attributes(&real))),
            ],
        };
        let ours = Message::new(theirs.command, attributes);
        check_attributes(name, &ours, &theirs);
    }
}

/// Checks that every attribute of our request is in that of ipvsadm.
fn check_attributes(name: &str, ours: &Message, theirs: &Message) {
    let theirs = explain(theirs).replace(", flagged", "");
    for attribute in explain(ours).lines() {
        assert!(
            theirs.lines().any(|their| their == attribute),
            "{name}: {attribute} is not in {theirs}"
        );
    }
}

#[test]
fn the_kernel_lists_what_ipvsadm_added() {
    // In the order of names, changes come after additions.
    let mut table: BTreeMap<String, String> = BTreeMap::new();
    for golden in GOLDENS.all() {
        match line_of(&golden.command) {
            Some(Line::VirtualServer(server)) => {
                table.insert(server.key.to_string(), print_virtual_server(&server));
            }
            Some(Line::RealServer(key, real)) => {
                let of_real = format!("{} {key}", real.key);
                table.insert(of_real, print_real_server(&key, &real));
            }
            None => {}
        }
    }
    let mut expected: Vec<String> = table.into_values().collect();
    expected.sort();

    let mut listed = Vec::new();
    let mut key = None;
    for captured in &GOLDENS.get("list").messages {
        let message = message(captured);
        let Attributes::Command(attributes) = &message.attributes else {
            panic!("{}", captured.meaning);
        };
        for attribute in attributes {
            let from_kernel = captured.direction == Direction::FromKernel;
            match (attribute, from_kernel) {
                (CommandAttribute::Service(nested), from_kernel) => {
                    let (server, _) = read_service(&nested.attributes).expect("a virtual server");
                    key = Some(server.key);
                    if from_kernel {
                        listed.push(print_virtual_server(&server));
                    }
                }
                (CommandAttribute::Destination(nested), true) => {
                    let key = key.expect("ipvsadm asked for the real servers of one");
                    let status = read_destination(&nested.attributes, key.family());
                    let server = status.expect("a real server").server;
                    listed.push(print_real_server(&key, &server));
                }
                _ => panic!("{}", captured.meaning),
            }
        }
    }
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn requests_without_a_line() {
    let check = |name: &str, ours: &Message| {
        check_attributes(name, ours, &message(&GOLDENS.get(name).messages[0]));
    };
    let Some(Line::RealServer(key, real)) =
        line_of("ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1")
    else {
        panic!("a real server");
    };
    let Some(Line::VirtualServer(marked)) = line_of("ipvsadm -A -f 7 -6 -s rr") else {
        panic!("a virtual server");
    };
    let seconds = std::time::Duration::from_secs;
    let timeouts = Timeouts {
        tcp: seconds(901),
        tcp_fin: seconds(121),
        udp: seconds(301),
    };
    let destination: Vec<DestinationAttribute> = destination_key_attributes(&real.key);
    check("flush", &Message::new(Command::Flush, Vec::new()));
    check("zero_all", &Message::new(Command::Zero, Vec::new()));
    check("zero_one", &service_request(Command::Zero, &key));
    check(
        "delete_virtual_server",
        &service_request(Command::DelService, &key),
    );
    check(
        "delete_virtual_server_fwmark",
        &service_request(Command::DelService, &marked.key),
    );
    check(
        "delete_real_server",
        &Message::new(
            Command::DelDestination,
            vec![
                CommandAttribute::Service(Nested::new(key_attributes(&key))),
                CommandAttribute::Destination(Nested::new(destination)),
            ],
        ),
    );
    check("set_timeouts", &set_timeouts(&timeouts));
    let listed = message(&GOLDENS.get("list_timeouts").messages[1]);
    assert_eq!(read_timeouts(&listed), timeouts);
}
