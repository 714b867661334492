//! `ipvsctl get`.

mod drains;

use std::path::Path;

use kernel::{Kernel as _, linux};
use model::text::{Part, Saved, address_lines, print_saved, virtual_server_lines};
use model::{Scope, Snapshot};
use sources::node_state::NodeStateFile;

use crate::cli::{Format, Get, What};
use crate::error::{Error, Status};
use crate::input::live;
use crate::output::servers::{self, Width};
use crate::output::{print, print_json, print_yaml};
use crate::schema::{NodeTables, Timeouts};

/// Prints tables of the kernel or of a file.
///
/// # Errors
///
/// The tables cannot be read, or the output cannot be written.
pub fn run(args: &Get) -> Result<Status, Error> {
    match args.what {
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
        (what, Format::Json) => print_json(&object(what, &snapshot, args))?,
        (what, Format::Yaml) => print_yaml(&object(what, &snapshot, args))?,
        (what, Format::Text) => print(&text(what, &snapshot))?,
        (what, Format::Table | Format::Wide) => print(&table(what, &snapshot, width))?,
    }
    Ok(Status::Done)
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
            What::Servers | What::Tables | What::NodeState | What::Drains => Part::VirtualServers,
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

fn object(what: What, snapshot: &Snapshot, args: &Get) -> NodeTables {
    let servers = |object: NodeTables| match args.live {
        // Connections are not saved.
        Some(_) => object.with_servers(&snapshot.tables, &Default::default()),
        None => object.with_live_servers(snapshot),
    };
    let object = NodeTables::empty();
    match what {
        What::Servers => servers(object),
        What::Addresses => object.with_addresses(&snapshot.tables),
        What::Tables | What::Timeouts | What::Drains | What::NodeState => object,
    }
}

fn text(what: What, snapshot: &Snapshot) -> String {
    let lines = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect();
    match what {
        What::Servers => lines(virtual_server_lines(&snapshot.tables)),
        What::Addresses => lines(address_lines(&snapshot.tables)),
        What::Timeouts => servers::timeout_line(snapshot.tables.timeouts),
        What::Tables | What::Drains | What::NodeState => String::new(),
    }
}

fn table(what: What, snapshot: &Snapshot, width: Width) -> String {
    match what {
        What::Servers => servers::servers(snapshot, width),
        What::Addresses => servers::addresses(snapshot, width),
        What::Timeouts => servers::timeouts(snapshot.tables.timeouts),
        What::Tables | What::Drains | What::NodeState => {
            let servers = servers::servers(snapshot, width);
            format!("{servers}\n{}", servers::addresses(snapshot, width))
        }
    }
}
