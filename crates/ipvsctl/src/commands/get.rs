//! `ipvsctl get`.

mod connections;
mod drains;
mod servers;

use std::path::Path;

use ipvs::{RealServerStatus, Statistics};
use kernel::{Kernel as _, linux};
use model::text::{Part, Saved, address_lines, print_saved};
use model::{Scope, Snapshot};
use sources::node_state::NodeStateFile;

use crate::cli::{Format, Get, SortBy, What};
use crate::error::{Error, Status};
use crate::input::live;
use crate::output::server_list::{Printer, ServerEntry, Shown};
use crate::output::servers::{self as tables, Width};
use crate::output::stream::Lines;
use crate::output::{print, print_json, print_yaml};
use crate::schema::{NodeTables, Timeouts};

/// Prints tables of the kernel or of a file.
///
/// # Errors
///
/// The tables cannot be read, or the output cannot be written.
pub fn run(args: &Get) -> Result<Status, Error> {
    check_options(args)?;
    match args.what {
        What::Servers => return servers::run(args),
        What::Connections => return connections::run(args),
        What::Drains => return drains::run(args),
        What::NodeState => return node_state(args),
        _ => {}
    }
    let saved = read(args)?;
    if args.what == What::Tables {
        match args.output {
            Format::Json => return print_json(&NodeTables::saved(&saved)).map(|()| Status::Done),
            Format::Yaml => return print_yaml(&NodeTables::saved(&saved)).map(|()| Status::Done),
            Format::Text => return print(&print_saved(&saved)).map(|()| Status::Done),
            Format::Table | Format::Wide => {}
        }
    }
    let snapshot = Snapshot::from(saved);
    let width = match args.output {
        Format::Wide => Width::Wide,
        _ => Width::Narrow,
    };
    match (args.what, args.output) {
        (What::Timeouts, Format::Json) => print_json(&Timeouts::from(snapshot.tables.timeouts))?,
        (What::Timeouts, Format::Yaml) => print_yaml(&Timeouts::from(snapshot.tables.timeouts))?,
        (what, Format::Json) => print_json(&object(what, &snapshot))?,
        (what, Format::Yaml) => print_yaml(&object(what, &snapshot))?,
        (what, Format::Text) => print(&text(what, &snapshot))?,
        (What::Addresses, _) => print(&tables::addresses(&snapshot, width))?,
        (What::Timeouts, _) => print(&tables::timeouts(snapshot.tables.timeouts))?,
        (_, format) => {
            print_servers(&snapshot, format)?;
            print(&format!("\n{}", tables::addresses(&snapshot, width)))?;
        }
    }
    Ok(Status::Done)
}

/// Fails if an option is given that has no effect on what is printed.
fn check_options(args: &Get) -> Result<(), Error> {
    let Get {
        what,
        select,
        servers,
        connections,
        ..
    } = args;
    let is_servers = *what == What::Servers;
    let is_connections = *what == What::Connections;
    let both = is_servers || is_connections;
    let (of_servers, of_both) = ("servers", "servers and get connections");
    for (is_given, has_effect, option, what) in [
        (select.namespace.is_some(), both, "--namespace", of_both),
        (!select.service.is_empty(), both, "--service", of_both),
        (select.vip.is_some(), both, "--vip", of_both),
        (select.protocol.is_some(), both, "--protocol", of_both),
        (servers.stats, is_servers, "--stats", of_servers),
        (servers.rate, is_servers, "--rate", of_servers),
        (servers.watch.is_some(), is_servers, "--watch", of_servers),
        (
            servers.sort_by != SortBy::Address,
            is_servers,
            "--sort-by",
            of_servers,
        ),
        (
            connections.client.is_some(),
            is_connections,
            "--client",
            "connections",
        ),
        (
            connections.server.is_some(),
            is_connections,
            "--server",
            "connections",
        ),
        (
            connections.summary,
            is_connections,
            "--summary",
            "connections",
        ),
    ] {
        if is_given && !has_effect {
            return Err(Error::OnlyFor { option, what });
        }
    }
    Ok(())
}

/// Prints this machine as a node-state file: as JSON if asked for, else as YAML.
fn node_state(args: &Get) -> Result<Status, Error> {
    let file = match &args.live {
        Some(path) => NodeStateFile {
            node_name: None,
            state: saved(path, Part::Node)?.node,
        },
        None => NodeStateFile {
            node_name: Some(sources::node_state::hostname().to_lowercase().into()),
            state: linux::node_state().map_err(Error::Observe)?,
        },
    };
    match args.output {
        Format::Json => print_json(&file)?,
        _ => print_yaml(&file)?,
    }
    Ok(Status::Done)
}

fn read(args: &Get) -> Result<Saved, Error> {
    let Some(path) = &args.live else {
        let mut kernel = live::read_only_kernel()?;
        return match args.what {
            // Three numbers do not need a dump of all real servers.
            What::Timeouts => {
                let scope = Scope {
                    settings: true,
                    ..Scope::NOTHING
                };
                let read = kernel.observe(&scope).map_err(Error::Observe)?;
                Ok(Saved::from(read))
            }
            _ => live::observe(&mut kernel).map(Saved::from),
        };
    };
    saved(
        path,
        match args.what {
            What::Timeouts => Part::Timeouts,
            What::Addresses => Part::Addresses,
            _ => Part::VirtualServers,
        },
    )
}

/// Reads saved tables that have the part `needed`.
fn saved(path: &Path, needed: Part) -> Result<Saved, Error> {
    let saved = live::saved(path)?;
    match saved.parts.contains(&needed) {
        true => Ok(saved),
        false => Err(Error::NotSaved(needed)),
    }
}

fn object(what: What, snapshot: &Snapshot) -> NodeTables {
    let object = NodeTables::empty();
    match what {
        What::Addresses => object.with_addresses(&snapshot.tables),
        _ => object,
    }
}

fn text(what: What, snapshot: &Snapshot) -> String {
    let lines = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect();
    match what {
        What::Addresses => lines(address_lines(&snapshot.tables)),
        What::Timeouts => tables::timeout_line(snapshot.tables.timeouts),
        _ => String::new(),
    }
}

/// Prints the virtual servers as a table, without the names of their Services.
fn print_servers(snapshot: &Snapshot, format: Format) -> Result<(), Error> {
    let shown = Shown {
        counts: format == Format::Wide,
        ..Shown::default()
    };
    let mut lines = Lines::stdout();
    let mut printer = Printer::begin(&mut lines, format, shown)?;
    let entries = &snapshot.tables.virtual_servers;
    for entry in entries.values() {
        printer.fit(&entry.server, None);
    }
    for (key, entry) in entries {
        let real_servers = entry.real_servers.values().map(|real| RealServerStatus {
            server: *real,
            connections: (snapshot.connections.get(&(*key, real.key)))
                .copied()
                .unwrap_or_default(),
            statistics: Statistics::default(),
        });
        let entry = ServerEntry {
            server: entry.server.clone(),
            statistics: Statistics::default(),
            real_servers: real_servers.collect(),
        };
        printer.entry(&entry, None)?;
    }
    printer.end("No virtual servers.")
}
