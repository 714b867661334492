//! Prints the measurements as lines for a program.

use std::time::Duration;

use serde_json::{Value, json};

use crate::shape::Shape;

/// Prefix of every line.
const MARK: &str = "bench: ";

/// Prints a time.
pub(crate) fn sample(operation: &'static str, shape: Shape, who: &'static str, took: Duration) {
    print(&json!({
        "operation": operation, "size": shape.to_string(), "services": shape.services, "who": who,
        "seconds": took.as_secs_f64(),
    }));
}

/// Prints a figure other than a time.
pub(crate) fn figure(operation: &str, shape: Shape, what: &str, value: f64, unit: &str) {
    print(&json!({
        "operation": operation, "size": shape.to_string(), "services": shape.services,
        "figure": what, "value": value, "unit": unit,
    }));
}

fn print(line: &Value) {
    println!("{MARK}{line}");
}
