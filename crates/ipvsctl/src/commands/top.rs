//! `ipvsctl top`.

use std::io::IsTerminal as _;
use std::time::Duration;

use sources::proxy;

use crate::cli::{Format, Top, TopOrder};
use crate::error::{Error, Status};
use crate::input::counters;
use crate::input::owners::Owners;
use crate::interrupt::Interrupt;
use crate::output::stream::Lines;
use crate::output::{print_json, print_yaml, traffic};
use crate::schema;
use crate::top::reader::Reader;
use crate::top::screen::{self, Settings};
use crate::top::traffic::ServiceTraffic;
use crate::top::view::Sort;

/// Shows traffic until interrupted, or prints it once.
///
/// # Errors
///
/// The kernel cannot be read, there is no terminal, or the output cannot be written.
pub fn run(args: &Top) -> Result<Status, Error> {
    let has_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !args.once && !has_terminal {
        return Err(Error::NoTerminal);
    }
    let counters = Box::new(counters::of_kernel()?);
    let owners = Owners::read(&args.named, false);
    owners.check(&args.select)?;
    let restore_terminal: fn() = match args.once {
        true => || {},
        false => ratatui::restore,
    };
    let interrupt = Interrupt::install(|| {}, restore_terminal)?;
    let mut reader = Reader::new(counters, owners, args.select.clone(), interrupt.clone());
    if args.once {
        return once(args, &mut reader, &interrupt);
    }
    // A problem that does not pass is reported before the terminal changes.
    if reader.read()?.is_none() {
        return Ok(Status::Done);
    }
    let settings = Settings {
        node: sources::node_state::hostname(),
        interval: args.interval,
        sort: sort(args.sort_by),
        daemon: args.named.metrics_address.unwrap_or(proxy::METRICS),
    };
    screen::run(reader, &settings, &interrupt)?;
    Ok(Status::Done)
}

/// Prints the traffic between two readings.
fn once(args: &Top, reader: &mut Reader, interrupt: &Interrupt) -> Result<Status, Error> {
    let Some(first) = reader.read()? else {
        return Ok(Status::Done);
    };
    let pause = args.interval.saturating_sub(first.took);
    if interrupt.wait(pause) {
        return Ok(Status::Done);
    }
    let Some(measured) = reader.read()? else {
        return Ok(Status::Done);
    };
    let mut services: Vec<&ServiceTraffic> = measured.traffic.services.iter().collect();
    sort(args.sort_by).services(&mut services);
    let interval: Duration = args.interval.max(first.took);
    let object = || schema::Top::new(&measured.traffic, &services, interval);
    match args.output {
        Format::Json => print_json(&object())?,
        Format::Yaml => print_yaml(&object())?,
        format => traffic::table(&services, format == Format::Wide, &mut Lines::stdout())?,
    }
    Ok(Status::Done)
}

fn sort(order: TopOrder) -> Sort {
    match order {
        TopOrder::Rate => Sort::ConnectionRate,
        TopOrder::Active => Sort::Active,
        TopOrder::Inactive => Sort::Inactive,
        TopOrder::Packets => Sort::PacketRate,
        TopOrder::Bytes => Sort::ByteRate,
        TopOrder::Name => Sort::Name,
    }
}
