//! `ipvsctl bundle`.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sources::proxy;

use crate::bundle::{self, Collected, Content, Request};
use crate::cli::{Bundle, NodeArgs, Source};
use crate::commands::config::EffectiveConfiguration;
use crate::error::{Error, Status};
use crate::input::desired::Origin;
use crate::input::node::on_loopback;
use crate::input::running;
use crate::output::{print, yaml_document};
use crate::style;

/// Directory with the logs of pods.
const PODS: &str = "/var/log/pods";
/// Maximum number of log files.
const LOGS: usize = 8;

/// Collects what a bug report needs, and writes it as a tar archive.
///
/// # Errors
///
/// The configuration has mistakes, or the archive cannot be written.
pub fn run(args: &Bundle) -> Result<Status, Error> {
    let (name, request) = request(args, Path::new(running::PROC))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_secs());
    let folder = format!("kube-ipvs-bundle-{name}-{now}");
    let path = (args.file.clone()).unwrap_or_else(|| PathBuf::from(format!("{folder}.tar")));
    let failed = |source| Error::Bundle {
        path: path.clone(),
        source,
    };
    if path == Path::new("-") {
        let collected = collect(&request)?;
        let contents = contents(&collected);
        archive(io::stdout().lock(), &folder, now, &contents, &collected).map_err(Error::Output)?;
        return Ok(Status::Done);
    }
    // A file that cannot be written is told before the parts are collected, which takes a while.
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(failed)?;
    let collected = collect(&request)?;
    let contents = contents(&collected);
    archive(file, &folder, now, &contents, &collected).map_err(failed)?;
    print(&contents)?;
    style::note(&format!(
        "{} is written. It contains names and addresses of Services, endpoints and clients: look \
         through it before you pass it on",
        path.display()
    ));
    Ok(Status::Done)
}

/// Returns the name of the node, and the facts that decide which parts there are. `proc` shows the
/// processes of the node.
fn request(args: &Bundle, proc: &Path) -> Result<(String, Request), Error> {
    let origin = Origin::find(&args.source, &args.node, proc);
    let (node, unread) = origin.node_or_named()?;
    if let Some(why) = unread {
        style::warning(&format!(
            "{why}; the configuration in the archive is that of the command line"
        ));
    }
    let name = node.config.node.node_name.to_string();
    let configured = node.config.settings.metrics_bind_address;
    let metrics = args
        .metrics_address
        .or(configured)
        .unwrap_or(proxy::METRICS);
    let request = Request {
        source: of_source(&args.source),
        node: of_node(&args.node),
        config: origin.config_file(),
        configuration: yaml_document(&EffectiveConfiguration::from(&*node.config.values()))?,
        metrics: Some(on_loopback(metrics)),
        logs: logs(args.logs.as_deref()),
    };
    Ok((name, request))
}

fn collect(request: &Request) -> Result<Vec<Collected>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    Ok(runtime.block_on(async {
        let mut collected = Vec::new();
        // One after the other, so that a busy node is not loaded further.
        for part in bundle::parts(request) {
            collected.push(bundle::collect(part).await);
        }
        collected
    }))
}

/// Returns the list of files, and of the parts that could not be had.
fn contents(collected: &[Collected]) -> String {
    let mut text = String::new();
    for Collected {
        name,
        about,
        content,
    } in collected
    {
        let line = match content {
            Ok(content) => format!("{name:28} {:>9} bytes  {about}\n", content.text.len()),
            Err(problem) => format!("{name:28} {:>15}  {about}: {problem}\n", "missing"),
        };
        text.push_str(&line);
    }
    text
}

fn archive(
    out: impl Write,
    folder: &str,
    time: u64,
    contents: &str,
    collected: &[Collected],
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    // Messages have a file of their own, so that JSON and YAML stay what they are.
    let files = |part: &Collected| {
        let Content { text, messages } = part.content.clone().unwrap_or_default();
        let output = part.content.is_ok().then(|| (part.name.clone(), text));
        let has_messages = !messages.is_empty();
        let messages = has_messages.then(|| (format!("{}.messages.txt", part.name), messages));
        output.into_iter().chain(messages)
    };
    let first = ("CONTENTS.txt".to_owned(), contents.to_owned());
    for (name, content) in std::iter::once(first).chain(collected.iter().flat_map(files)) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(time);
        archive.append_data(&mut header, format!("{folder}/{name}"), content.as_bytes())?;
    }
    archive.into_inner()?.flush()
}

/// Returns the arguments that `source` was parsed from.
fn of_source(source: &Source) -> Vec<OsString> {
    let mut args = Vec::new();
    for path in &source.paths {
        args.extend(["-f".into(), path.into()]);
    }
    option(&mut args, "--kubeconfig", source.kubeconfig.as_ref());
    option(&mut args, "--context", source.context.as_ref());
    switch(&mut args, "--strict", source.strict);
    args
}

/// Returns the arguments that `node` was parsed from.
fn of_node(node: &NodeArgs) -> Vec<OsString> {
    let mut args = Vec::new();
    option(&mut args, "--node", node.node.as_ref());
    option(&mut args, "--config", node.config.as_ref());
    option(&mut args, "--node-state", node.node_state.as_ref());
    switch(&mut args, "--strict-config", node.strict_config);
    args
}

fn option(args: &mut Vec<OsString>, name: &str, value: Option<&(impl Into<OsString> + Clone)>) {
    if let Some(value) = value {
        args.extend([name.into(), value.clone().into()]);
    }
}

fn switch(args: &mut Vec<OsString>, name: &str, is_given: bool) {
    if is_given {
        args.push(name.into());
    }
}

/// Returns the log files of kube-ipvsd's pods and those in `folder`, at most [`LOGS`].
fn logs(folder: Option<&Path>) -> Vec<PathBuf> {
    let pods = entries(Path::new(PODS)).into_iter();
    let ours = pods.filter(|path| path.to_string_lossy().contains("kube-ipvs"));
    let containers = ours.flat_map(|pod| entries(&pod));
    let directories = folder.map(Path::to_owned).into_iter().chain(containers);
    let files = directories.flat_map(|directory| entries(&directory));
    files.filter(|path| path.is_file()).take(LOGS).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::input::running::tests::Proc;

    fn requested(proc: &Proc, args: &[&str]) -> (String, Request) {
        let cli = Cli::try_parse_from([&["ipvsctl", "bundle"], args].concat()).expect("arguments");
        let Command::Bundle(args) = cli.command else {
            panic!("another command");
        };
        request(&args, &proc.path("")).expect("a request")
    }

    #[test]
    fn node_metrics_and_configuration_are_those_of_the_running_daemon() {
        let proc = Proc::new();
        let flags = ["--config=/etc/kube/config.yaml", "--node-name=node8"];
        proc.process(7, "kube-ipvsd", &flags);
        let file = "7/root/etc/kube/config.yaml";
        let config = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n\
                      metricsBindAddress: 127.0.0.1:20249\nipvs: {scheduler: wrr}\n";
        proc.write(file, config);
        let (node, request) = requested(&proc, &[]);
        assert_eq!(node, "node8");
        assert_eq!(request.metrics, "127.0.0.1:20249".parse().ok());
        assert_eq!(request.config, Some(proc.path(file)));
        assert!(
            request.configuration.contains("value: wrr\n"),
            "{}",
            request.configuration
        );
        // A configuration that kube-ipvsd would refuse is not used.
        proc.write(file, "kind: [");
        let (_, request) = requested(&proc, &["--node", "node1"]);
        assert_eq!(request.metrics, Some(proxy::METRICS));
    }
}
