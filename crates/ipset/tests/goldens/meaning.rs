//! Tests that the arguments of ipset's command line are in its requests and in the kernel's
//! answers.

use std::collections::{BTreeMap, BTreeSet};

use ipset::codec::convert::{
    changes, create, create_type, entries_of, entry_attributes, header_of, refused_line,
    set_name_of, type_request,
};
use ipset::codec::{Attribute, Command, EntryAttribute, HeaderAttribute, Message, PROTOCOL};
use ipset::text::{self, Line, parse_line};
use ipset::{Entry, Family, HashType, Header, Set, SetName};
use support::golden::Direction;

use crate::{GOLDENS, message};

/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const INET: u8 = 2;
const INET6: u8 = 10;

const HEADERS: [Header; 4] = [
    Header::Hash {
        hash_type: HashType::Ip,
        family: Family::Inet,
        max_elements: 1,
    },
    Header::Hash {
        hash_type: HashType::IpPortNet,
        family: Family::Inet6,
        max_elements: 1,
    },
    Header::BitmapPort { first: 0, last: 1 },
    Header::Unsupported,
];

/// Calls every conversion, to find panics.
pub(crate) fn read_all(message: &Message) {
    let _ = (
        set_name_of(message),
        header_of(message),
        refused_line(message),
    );
    for header in HEADERS {
        let _ = entries_of(message, header);
    }
}

/// Returns the requests of this command in the golden `name`.
fn requests(name: &str, command: Command) -> Vec<Message> {
    let golden = GOLDENS.get(name);
    let requests = (golden.messages.iter()).filter(|one| one.direction == Direction::ToKernel);
    requests
        .map(message)
        .filter(|message| message.command == command)
        .collect()
}

/// Returns the names of the goldens whose command is a line that the parser accepts, and the line.
/// The parser rejects a network of length 0, and options after the entry.
fn lines() -> impl Iterator<Item = (String, Line)> {
    GOLDENS.all().into_iter().filter_map(|golden| {
        let line = golden.command.strip_prefix("ipset ")?;
        let line = parse_line(line).ok()?;
        Some((golden.name, line))
    })
}

#[test]
fn sets_are_created_as_the_program_does() {
    let mut count = 0;
    for (name, line) in lines() {
        let Line::Create(set, header) = line else {
            continue;
        };
        count += 1;
        let theirs = requests(&name, Command::Create).remove(0).attributes;
        let revision = theirs.iter().find_map(|attribute| match attribute {
            Attribute::Revision(revision) => Some(*revision),
            _ => None,
        });
        let revision = revision.expect("a revision");
        let ours = create(PROTOCOL, &set, header, revision, 0).expect("a known type");
        assert_eq!(ours.attributes[..5], theirs[..5], "{name}");
        assert_eq!(limits(&ours.attributes), limits(&theirs), "{name}");
        let (type_name, family) = create_type(header).expect("a known type");
        // The program requests the type before it has parsed the family.
        let family = if family == INET6 { INET } else { family };
        let ours = type_request(PROTOCOL, type_name, family);
        assert_eq!(requests(&name, Command::Type), [ours], "{name}");
    }
    assert_eq!(count, 11);
}

/// Returns the limits of a set. The program omits options that the kernel chooses, and the kernel
/// may create more buckets than requested.
fn limits(attributes: &[Attribute]) -> Vec<HeaderAttribute> {
    let header = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Header(header) => Some(header),
        _ => None,
    });
    let known = header.into_iter().flatten().filter(|attribute| {
        !matches!(
            attribute,
            HeaderAttribute::HashSize(_)
                | HeaderAttribute::BucketSize(_)
                | HeaderAttribute::InitialValue(_)
                | HeaderAttribute::MaxElements(65_536)
        )
    });
    known.cloned().collect()
}

#[test]
fn entries_are_written_as_the_program_does() {
    let mut count = 0;
    for (name, line) in lines() {
        let Line::Add(_, entry) = line else {
            continue;
        };
        count += 1;
        let [message] = &requests(&name, Command::Add)[..] else {
            panic!("{name}");
        };
        let Some(Attribute::Entry(theirs)) = message.attributes.last() else {
            panic!("{name}");
        };
        let mut ours = entry_attributes(entry);
        ours.push(EntryAttribute::Line(0));
        assert_eq!(&ours, theirs, "{name}");
    }
    assert_eq!(count, 11);
}

/// Returns the entries in the `restore` input of a golden.
fn entries(name: &str, word: &str) -> (SetName, Vec<Entry>) {
    let mut set = None;
    let command = GOLDENS.get(name).command;
    let entries = command.split("; ").filter_map(|line| {
        let rest = line.strip_prefix(word)?;
        match parse_line(&format!("add{rest}")) {
            Ok(Line::Add(name, entry)) => {
                set = Some(name);
                Some(entry)
            }
            other => panic!("{line}: {other:?}"),
        }
    });
    let entries = entries.collect();
    (set.expect("lines"), entries)
}

#[test]
fn many_entries_are_written_as_the_program_does() {
    for (name, word, command) in [
        ("add_many", "add", Command::Add),
        ("delete_many", "del", Command::Del),
    ] {
        let (set, entries) = entries(name, word);
        let mut ours = changes(PROTOCOL, command, &set, entries.into_iter());
        // The kernel overwrites the line number of the whole message.
        ours.attributes[2] = Attribute::Line(1);
        assert_eq!(requests(name, command), [ours]);
    }
}

#[test]
fn the_kernel_names_the_entry_that_it_refuses() {
    let golden = GOLDENS.get("add_many_refused");
    let refused = golden.messages.last().expect("messages");
    assert_eq!(refused.direction, Direction::Refused(4103));
    assert_eq!(refused_line(&message(refused)), Some(2));
}

/// Sets created by the commands before `ipset list` and `ipset save`.
const LISTED: &str = "\
create ANOTHER unsupported
create IP hash:ip family inet maxelem 65536
add IP 10.96.0.1
create IP6 hash:ip family inet6 maxelem 65536
add IP6 fd00:10:96::1
create IPPORT hash:ip,port family inet maxelem 100000
add IPPORT 10.96.0.1,tcp:443
add IPPORT 10.96.0.2,tcp:80
add IPPORT 10.96.0.3,udp:53
add IPPORT 10.96.0.4,sctp:9
add IPPORT 10.96.0.5,tcp:80
create IPPORT6 hash:ip,port family inet6 maxelem 65536
add IPPORT6 fd00:10:96::1,udp:53
create IPPORTIP hash:ip,port,ip family inet maxelem 65536
add IPPORTIP 10.244.1.5,tcp:8080,10.244.1.5
create IPPORTIP6 hash:ip,port,ip family inet6 maxelem 65536
add IPPORTIP6 fd00:10:244:1::5,sctp:8080,fd00:10:244:1::5
create IPPORTNET unsupported
create IPPORTNET6 hash:ip,port,net family inet6 maxelem 65536
add IPPORTNET6 2001:db8::15,tcp:80,2001:db8:1::/48
create OPTIONS unsupported
create PORTS bitmap:port range 0-65535
add PORTS 30480
";

fn sets(name: &str) -> BTreeMap<SetName, Set> {
    let mut sets = BTreeMap::new();
    for captured in &GOLDENS.get(name).messages {
        let message = message(captured);
        let (Some(name), Some(header)) = (set_name_of(&message), header_of(&message)) else {
            continue;
        };
        let (header, entries) = match entries_of(&message, header) {
            Some(entries) => (header, entries.into_iter().collect()),
            None => (Header::Unsupported, BTreeSet::new()),
        };
        sets.insert(name, Set { header, entries });
    }
    sets
}

#[test]
fn lists_of_the_kernel_are_read() {
    assert_eq!(text::print(&sets("list")), LISTED);
    let of_one = text::print(&sets("save"));
    assert!(LISTED.contains(&of_one) && of_one.lines().count() == 6);
}

/// A set with an unsupported entry (`nomatch`) still has a supported header.
#[test]
fn headers_alone_are_read() {
    let headers = sets("list_headers");
    let with_entries = sets("list");
    for (name, set) in &headers {
        assert!(set.entries.is_empty());
        if name.as_str() != "IPPORTNET" {
            assert_eq!(set.header, with_entries[name].header, "{name}");
        }
    }
    assert_eq!(headers.len(), with_entries.len());
}
