//! Flags in the spellings that kube-proxy accepts.

use std::ffi::OsString;

use clap::{ArgAction, Args as _, Command};

use super::ConfigShow;

/// Switches of kube-ipvsd and kube-proxy that are no part of the configuration. A command line may
/// contain them as `=false`.
const DAEMON: [&str; 6] = [
    "cleanup",
    "init-only",
    "once",
    "force",
    "no-modprobe",
    "remove-leftovers",
];

/// Rewrites the flags after `config show` to their declared spellings, since they may come from a
/// command line of kube-proxy.
pub(crate) fn as_declared(mut args: Vec<OsString>) -> Vec<OsString> {
    let show = (args.windows(2)).position(|words| words[0] == "config" && words[1] == "show");
    let Some(show) = show else {
        return args;
    };
    let flags = args.split_off(show + 2);
    let command = ConfigShow::augment_args(Command::new("show"));
    let is_switch = |name: &str| {
        let mut declared = command.get_arguments();
        let declared = declared.find(|arg| arg.get_long() == Some(name));
        let switch = declared.is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue));
        switch || DAEMON.contains(&name)
    };
    args.extend(sources::config::as_declared(flags.into_iter(), is_switch));
    args
}
