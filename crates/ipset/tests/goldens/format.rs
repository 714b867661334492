//! Prints the meaning of messages in the format of the goldens.

use ipset::codec::{Attribute, Message};
use support::golden::{leaf, leaves};

/// Prints a message: its command, and a line for each attribute.
pub(crate) fn explain(message: &Message) -> String {
    let mut text = format!("{:?}\n", message.command);
    for attribute in &message.attributes {
        match attribute {
            Attribute::Header(attributes) => {
                text.push_str("  Header\n");
                leaves(&mut text, 2, attributes);
            }
            Attribute::Entry(attributes) => {
                text.push_str("  Entry\n");
                leaves(&mut text, 2, attributes);
            }
            Attribute::Entries(entries) => {
                text.push_str("  Entries\n");
                for attributes in entries {
                    text.push_str("    Entry\n");
                    leaves(&mut text, 3, attributes);
                }
            }
            other => leaf(&mut text, 1, other),
        }
    }
    text
}
