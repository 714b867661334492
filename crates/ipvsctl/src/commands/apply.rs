//! `ipvsctl apply`.

mod carry_out;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};

use kernel::{LinuxKernel, ModulePolicy};

use crate::cli::Apply;
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback};
use crate::input::view::View;
use crate::input::{Input, cluster, live};
use crate::output::{plan, print, progress};

pub use self::carry_out::{Applied, carry_out};

/// Shows the plan, asks, and applies it.
///
/// # Errors
///
/// The node, the files or the kernel cannot be read, or the changes were not confirmed. Nothing was
/// changed then.
pub fn run(args: &Apply) -> Result<Status, Error> {
    if !args.yes && !can_ask() {
        return Err(Error::NobodyToAsk);
    }
    let mut node = node::read(&args.node, Fallback::Host)?;
    let cluster = cluster::from_files(&args.files.paths, args.files.strict);
    let mut kernel = LinuxKernel::open(ModulePolicy::Load).map_err(Error::Open)?;
    let live = live::of_kernel(&mut kernel, &mut node)?;
    let input = Input::compile(cluster, node).report();
    let View { input, plan, .. } = View::compare(input, live, BTreeSet::new());
    print(&plan::text(&plan))?;
    let read = input.status(false);
    if plan.is_empty() {
        return Ok(read);
    }
    if !args.yes {
        confirm()?;
    }
    let bar = progress::bar(plan.ops().count());
    let applied = carry_out(&mut kernel, &plan, &bar);
    print(&format!("{applied}\n"))?;
    Ok(match applied.failed + applied.skipped {
        0 => read,
        _ => Status::Failed,
    })
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for confirmation on the terminal.
fn confirm() -> Result<(), Error> {
    let mut err = anstream::stderr().lock();
    write!(err, "Apply these changes? [y/N] ")
        .and_then(|()| err.flush())
        .map_err(Error::Ask)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Error::Ask)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Declined),
    }
}
