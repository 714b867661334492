//! `ipvsctl export`.

use std::fmt::Write as _;

use ipvs::text::{print_real_server, print_virtual_server};
use model::NodeTables;
use sources::virtual_server::{self, Manifest};

use crate::cli::{Export, ExportFormat};
use crate::error::{Error, Status};
use crate::import::name_of;
use crate::input::node::{self, Fallback};
use crate::input::{Input, cluster, live};
use crate::output::{manifests, print};
use crate::style;

/// Prints virtual servers for `ipvsadm-restore`, or as VirtualServers.
///
/// # Errors
///
/// The node, the objects or the tables cannot be read, or the output cannot be written.
pub fn run(args: &Export) -> Result<Status, Error> {
    let (tables, status) = tables(args)?;
    let complete = match args.output {
        ExportFormat::Ipvsadm => {
            print(&ipvsadm(&tables))?;
            true
        }
        ExportFormat::Yaml => {
            let (found, complete) = of_tables(&tables);
            manifests::yaml(&found)?;
            complete
        }
        ExportFormat::Json => {
            let (found, complete) = of_tables(&tables);
            manifests::json(&found)?;
            complete
        }
    };
    Ok(if complete { status } else { Status::Failed })
}

fn tables(args: &Export) -> Result<(NodeTables, Status), Error> {
    if let Some(path) = &args.live {
        return Ok((live::saved(path)?.tables, Status::Done));
    }
    if args.kernel {
        let mut kernel = live::read_only_kernel()?;
        return Ok((live::observe(&mut kernel)?.tables, Status::Done));
    }
    let node = node::read(&args.node, Fallback::Host)?;
    let cluster = cluster::from_source(&args.source, &node, None)?;
    let input = Input::compile(cluster, node).report();
    let status = input.status(false);
    Ok((input.desired.tables, status))
}

/// Returns the lines, each virtual server before its real servers.
fn ipvsadm(tables: &NodeTables) -> String {
    let mut text = String::new();
    for (key, entry) in &tables.virtual_servers {
        let _ = writeln!(text, "{}", print_virtual_server(&entry.server));
        for real in entry.real_servers.values() {
            let _ = writeln!(text, "{}", print_real_server(key, real));
        }
    }
    text
}

/// Returns the manifests, and false if a virtual server is missing.
fn of_tables(tables: &NodeTables) -> (Vec<Manifest>, bool) {
    let mut found = Vec::new();
    let mut complete = true;
    for (key, entry) in &tables.virtual_servers {
        let real_servers: Vec<_> = entry.real_servers.values().copied().collect();
        match virtual_server::encode(&name_of(key), &entry.server, &real_servers, true) {
            Ok(manifest) => found.push(manifest),
            Err(error) => {
                complete = false;
                style::error(&format!("{key} is not exported: {error}"));
            }
        }
    }
    (found, complete)
}
