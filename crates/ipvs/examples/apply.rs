//! Adds the entries of a saved `ipvsadm-save -n` output, in as few sends as possible.
//!
//! ```text
//! ipvsadm-save -n > saved
//! cargo run -p ipvs --features client --example apply -- saved
//! ```
//!
//! Each line has its own outcome: a failed line, for example because the entry exists, does not
//! stop the others.

use std::error::Error;
use std::time::Instant;

use ipvs::client::{Client, Request};
use ipvs::text::{Line, parse_lines};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1);
    let text = match &path {
        Some(path) => std::fs::read_to_string(path)?,
        None => std::io::read_to_string(std::io::stdin())?,
    };
    let mut requests = Vec::new();
    for line in parse_lines(&text)? {
        requests.push(match line {
            Line::VirtualServer(server) => {
                check(&server.key, server.validate());
                Request::NewService(server)
            }
            Line::RealServer(key, real) => {
                check(&real.key, real.validate(&key));
                Request::NewDest(key, real)
            }
        });
    }
    let mut client = Client::open()?;
    let start = Instant::now();
    let outcomes = client.execute(&requests);
    let seconds = start.elapsed().as_secs_f64();
    let mut failures = 0;
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        failures += 1;
        eprintln!("{error}: {:?}", error.kind());
    }
    println!(
        "{} of {} requests done in {seconds:.3} s",
        requests.len() - failures,
        requests.len(),
    );
    if failures == 0 {
        Ok(())
    } else {
        Err(format!("{failures} requests failed").into())
    }
}

/// Warns about settings that the kernel may accept silently and not apply.
fn check(key: &impl std::fmt::Display, validity: Result<(), Vec<ipvs::Invalid>>) {
    for problem in validity.err().into_iter().flatten() {
        eprintln!("warning: {key}: {problem}");
    }
}
