//! Tests that every command and every attribute has a golden.

use std::collections::BTreeSet;

use ipvs::codec::{
    Attributes, Command, CommandAttribute, DaemonAttribute, DestinationAttribute, InfoAttribute,
    ServiceAttribute, StatisticsAttribute,
};
use netlink_packet_core::{NLA_TYPE_MASK, Nla};

use crate::{GOLDENS, message};

/// Numbers of attributes, each with its table.
type Seen = BTreeSet<(&'static str, u16)>;

fn see<T: Nla>(seen: &mut Seen, table: &'static str, attributes: &[T]) {
    seen.extend((attributes.iter()).map(|each| (table, each.kind() & NLA_TYPE_MASK)));
}

fn see_command(seen: &mut Seen, attribute: &CommandAttribute) {
    match attribute {
        CommandAttribute::Service(nested) => {
            see(seen, "service", &nested.attributes);
            for attribute in &nested.attributes {
                if let ServiceAttribute::Statistics(nested)
                | ServiceAttribute::Statistics64(nested) = attribute
                {
                    see(seen, "statistics", &nested.attributes);
                }
            }
        }
        CommandAttribute::Destination(nested) => {
            see(seen, "destination", &nested.attributes);
            for attribute in &nested.attributes {
                if let DestinationAttribute::Statistics(nested)
                | DestinationAttribute::Statistics64(nested) = attribute
                {
                    see(seen, "statistics", &nested.attributes);
                }
            }
        }
        CommandAttribute::Daemon(nested) => see(seen, "daemon", &nested.attributes),
        _ => {}
    }
}

#[test]
fn every_command_has_a_golden() {
    let seen: BTreeSet<Command> = (GOLDENS.all().iter())
        .flat_map(|golden| golden.messages.iter().map(message))
        .map(|message| message.command)
        .collect();
    for command in Command::ALL {
        assert!(seen.contains(&command), "{command:?} has no golden");
    }
    assert!(
        seen.iter()
            .any(|command| matches!(command, Command::Other(_))),
        "an unknown command has no golden"
    );
}

#[test]
fn every_attribute_has_a_golden() {
    let mut seen = Seen::new();
    for golden in GOLDENS.all() {
        for message in golden.messages.iter().map(message) {
            match &message.attributes {
                Attributes::Info(attributes) => see(&mut seen, "info", attributes),
                Attributes::Command(attributes) => {
                    see(&mut seen, "command", attributes);
                    (attributes.iter()).for_each(|each| see_command(&mut seen, each));
                }
            }
        }
    }
    for (table, all) in [
        ("command", CommandAttribute::ALL),
        ("service", ServiceAttribute::ALL),
        ("destination", DestinationAttribute::ALL),
        ("daemon", DaemonAttribute::ALL),
        ("info", InfoAttribute::ALL),
        ("statistics", StatisticsAttribute::ALL),
    ] {
        let known: BTreeSet<u16> = all.iter().map(|(number, _)| *number).collect();
        for (number, name) in all {
            assert!(
                seen.contains(&(table, *number)),
                "{name} ({number}) of {table} has no golden"
            );
        }
        assert!(
            (seen.iter()).any(|(of, number)| *of == table && !known.contains(number)),
            "an unknown attribute of {table} has no golden"
        );
    }
}
