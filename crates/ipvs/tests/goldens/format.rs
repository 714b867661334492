//! Prints the meaning of messages in the format of the goldens.

use std::fmt::Write as _;

use ipvs::codec::attributes::Nested;
use ipvs::codec::{Attributes, CommandAttribute, DestinationAttribute, Message, ServiceAttribute};
use support::golden::{leaf, leaves};

/// Prints a message: its command, and a line for each attribute.
pub(crate) fn explain(message: &Message) -> String {
    let mut text = format!("{:?}\n", message.command);
    match &message.attributes {
        Attributes::Info(attributes) => leaves(&mut text, 1, attributes),
        Attributes::Command(attributes) => {
            for attribute in attributes {
                match attribute {
                    CommandAttribute::Service(nested) => {
                        title(&mut text, 1, "Service", nested);
                        nested
                            .attributes
                            .iter()
                            .for_each(|each| service(&mut text, each));
                    }
                    CommandAttribute::Destination(nested) => {
                        title(&mut text, 1, "Destination", nested);
                        (nested.attributes.iter()).for_each(|each| destination(&mut text, each));
                    }
                    CommandAttribute::Daemon(nested) => {
                        title(&mut text, 1, "Daemon", nested);
                        leaves(&mut text, 2, &nested.attributes);
                    }
                    other => leaf(&mut text, 1, other),
                }
            }
        }
    }
    text
}

fn service(text: &mut String, attribute: &ServiceAttribute) {
    match attribute {
        ServiceAttribute::Statistics(nested) => {
            title(text, 2, "Statistics", nested);
            leaves(text, 3, &nested.attributes);
        }
        ServiceAttribute::Statistics64(nested) => {
            title(text, 2, "Statistics64", nested);
            leaves(text, 3, &nested.attributes);
        }
        other => leaf(text, 2, other),
    }
}

fn destination(text: &mut String, attribute: &DestinationAttribute) {
    match attribute {
        DestinationAttribute::Statistics(nested) => {
            title(text, 2, "Statistics", nested);
            leaves(text, 3, &nested.attributes);
        }
        DestinationAttribute::Statistics64(nested) => {
            title(text, 2, "Statistics64", nested);
            leaves(text, 3, &nested.attributes);
        }
        other => leaf(text, 2, other),
    }
}

fn title<T>(text: &mut String, depth: usize, name: &str, nested: &Nested<T>) {
    let flag = if nested.flagged { ", flagged" } else { "" };
    let _ = writeln!(text, "{}{name}{flag}", "  ".repeat(depth));
}
