//! `ipvsctl apply`.

mod carry_out;
mod guard;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use kernel::{Kernel, LinuxKernel, ModulePolicy};

use crate::cli::Apply;
use crate::error::{Error, Status};
use crate::grouping::Selection;
use crate::input::node::{self, Fallback};
use crate::input::view::View;
use crate::input::{Input, cluster, facts, live, running};
use crate::interrupt::Interrupt;
use crate::output::{plan, print, progress};
use crate::style;

pub use self::carry_out::{Applied, carry_out};
pub use self::guard::{Guard, Refusal};

/// Shows the plan, checks that it is safe, asks, and applies it.
///
/// # Errors
///
/// The node, the files or the kernel cannot be read, the plan is not safe, or the changes were not
/// confirmed. Nothing was changed then.
pub fn run(args: &Apply) -> Result<Status, Error> {
    if !args.yes && !can_ask() {
        return Err(Error::NobodyToAsk);
    }
    let mut node = node::read(&args.node, Fallback::Host)?;
    let metrics = node.config.settings.metrics_bind_address;
    let cluster =
        cluster::from_files(&args.files.paths, args.files.strict, None).unless_unread()?;
    let mut kernel = LinuxKernel::open(ModulePolicy::Load).map_err(Error::Open)?;
    let live = live::of_kernel(&mut kernel, &mut node)?;
    let guard = Guard {
        force: args.force,
        allow_empty: args.allow_empty,
        delete: args.delete.iter().copied().collect(),
    };
    guard.check_named(&live).map_err(Error::Refused)?;
    let input = Input::compile(cluster, node).report();
    let view = View::compare(input, live, guard.delete.clone());
    print(&plan::text(
        &view.changes(Selection::default()),
        &view.live.tables.rules,
    ))?;
    if view.plan.is_empty() {
        return Ok(view.status(false));
    }
    guard.check_plan(&view).map_err(Error::Refused)?;
    guard
        .check_proxies(|| facts::proxies(metrics))
        .and_then(|()| guard.check_processes(|| running::find(Path::new(running::PROC))))
        .map_err(Error::Refused)?;
    if !args.yes {
        confirm()?;
    }
    apply(&mut kernel, &view)
}

/// Applies the plan of `view` until it is done or interrupted, and prints the outcome.
fn apply(kernel: &mut dyn Kernel, view: &View) -> Result<Status, Error> {
    let interrupt = Interrupt::install(
        || style::note("stopping after the current batch of changes; a second Ctrl-C ends at once"),
        || {
            style::error(
                "ended at once: the current batch may be applied in part; run the command again to finish",
            );
        },
    )?;
    let bar = progress::bar(view.plan.ops().count());
    let applied = carry_out(kernel, &view.plan, &bar, || interrupt.is_set());
    print(&format!("{applied}\n"))?;
    Ok(match applied.is_complete() {
        true => view.status(false),
        false => Status::Failed,
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
