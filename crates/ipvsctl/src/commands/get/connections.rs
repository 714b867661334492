//! `ipvsctl get connections`.

use std::fs::File;
use std::io::{self, BufReader};
use std::ops::ControlFlow;
use std::path::Path;

use ipvs::connection::Connection;
use kernel::linux::connections::{ConnectionsError, each_connection, each_of};

use crate::cli::{ConnectionArgs, Format, Get};
use crate::error::{Error, SavedError, Status};
use crate::input::owners::{Owners, share_stdin};
use crate::output::connections::{Counts, Printer, summary};
use crate::output::stream::Lines;
use crate::output::{print_json, print_yaml};

/// Prints connections while it reads them, or their numbers.
///
/// # Errors
///
/// The connections cannot be read, or the output cannot be written.
pub(super) fn run(args: &Get) -> Result<Status, Error> {
    if share_stdin(&args.named, args.live.as_deref()) {
        return Err(Error::StandardInputTwice);
    }
    let owners = Owners::read(&args.named, args.live.is_some());
    owners.check(&args.select)?;
    let selects = |connection: &Connection| {
        selects(&args.connections, connection)
            && owners.selects(&args.select, &connection.virtual_server())
    };
    let mut lines = Lines::stdout();
    if args.connections.summary {
        let mut counts = Counts::default();
        each(args, |connection| {
            if selects(connection) {
                counts.add(connection);
            }
            Ok(())
        })?;
        let counted = counts.summary(|key| owners.get(key));
        match args.output {
            Format::Json => print_json(&counted)?,
            Format::Yaml => print_yaml(&counted)?,
            Format::Table | Format::Wide | Format::Text => summary(&counted, &mut lines)?,
        }
        return Ok(Status::Done);
    }
    let mut printer = Printer::begin(&mut lines, args.output)?;
    each(args, |connection| match selects(connection) {
        true => printer.connection(connection, owners.get(&connection.virtual_server())),
        false => Ok(()),
    })?;
    printer.end()?;
    Ok(Status::Done)
}

/// Calls `print` for every connection of the kernel or of a file, until it fails.
fn each(args: &Get, mut print: impl FnMut(&Connection) -> Result<(), Error>) -> Result<(), Error> {
    let mut printed = Ok(());
    let take = |connection: Connection| match print(&connection) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            printed = Err(error);
            ControlFlow::Break(())
        }
    };
    let read = match &args.live {
        None => each_connection(take),
        Some(path) if path == Path::new("-") => each_of(io::stdin().lock(), take),
        Some(path) => match File::open(path) {
            Ok(file) => each_of(BufReader::new(file), take),
            Err(error) => {
                return Err(Error::Saved {
                    path: path.clone(),
                    source: SavedError::Read(error),
                });
            }
        },
    };
    read.map_err(|error: ConnectionsError| Error::Connections(error))?;
    printed
}

fn selects(args: &ConnectionArgs, connection: &Connection) -> bool {
    let ConnectionArgs {
        client,
        server,
        summary: _,
    } = args;
    client.is_none_or(|network| network.contains(connection.client.ip()))
        && server.is_none_or(|server| {
            server.address == connection.real.address
                && server.port.is_none_or(|port| port == connection.real.port)
        })
}
