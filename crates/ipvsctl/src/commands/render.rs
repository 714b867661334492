//! `ipvsctl render`.

use model::text;

use crate::cli::{PlanFormat, Render};
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback};
use crate::input::{Input, cluster};
use crate::output::{print, print_json};
use crate::schema;

/// Prints the tables that files ask for.
///
/// # Errors
///
/// No node is named, its configuration has mistakes, or the output cannot be written.
pub fn run(args: &Render) -> Result<Status, Error> {
    let config = node::read(&args.node, Fallback::Nothing)?.into_config();
    let cluster = cluster::from_files(&args.files.paths);
    let input = Input::compile(&cluster.state, cluster.whole, config);
    let tables = &input.desired.tables;
    match args.output {
        PlanFormat::Text => print(&text::print(tables))?,
        PlanFormat::Json => {
            let owners = &input.desired.owners.virtual_servers;
            let mut object = schema::NodeTables::empty()
                .with_servers(tables, owners)
                .with_addresses(tables);
            object.node_name = Some(input.config.node_name.to_string());
            object.findings = input.findings.iter().map(Into::into).collect();
            print_json(&object)?;
        }
    }
    Ok(match input.whole {
        true => Status::Done,
        false => Status::Error,
    })
}
