//! Assembles kube-ipvsd: reads the command line, starts sources, servers and watchers, and runs the
//! loop.

mod api_server;
mod args;
mod clean;
mod descriptors;
mod hangup;
mod interfaces;
mod leftovers;
mod serve_errors;
mod settings;
mod single_instance;
mod telemetry_observer;
mod version;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kernel::linux::StopSignal;
use kernel::linux::leftovers::Sweeper;
use kernel::{Kernel, LinuxKernel, ModulePolicy};
use model::{Name, Scope, chain, escaped};
use sources::config::{Resolved, ServiceMetrics};
use sources::kube::{Connection, KubeSettings, connect, list_once};
use sources::objects::LabelKeys;
use sources::{Confirmation, EventSink, SourceConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tracing::{error, info, warn};

use crate::change_log::ChangeRecorder;
use crate::logging;
use crate::mailbox::{NodeEvents, mailbox};
use crate::reload::ConfigWatcher;
use crate::run::{Ended, Inputs, Observer, Until, run};
use crate::second_proxy::SecondProxyWatch;
use crate::{events, probes, traffic, udp_flows};
use reconciler::Reconciler;

use self::api_server::{Names, resolve};
pub use self::args::Args;
use self::telemetry_observer::{Sources, TelemetryObserver};

/// Number of source events that may wait for the loop. A full queue blocks the source.
const INPUTS: usize = 1024;

/// An error that ends the daemon. The log shows it in one line.
type Fatal = Box<dyn std::error::Error + Send + Sync>;

/// Runs the daemon until it has finished or receives a stop signal.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let resolved = sources::config::load(
        args.config.as_deref(),
        &args.overrides(),
        &sources::node_state::hostname(),
    );
    let (format, filter) = settings::log(args, resolved.as_ref().ok().map(|all| &all.settings));
    if let Err(problem) = logging::start(format, filter) {
        eprintln!("error: {}", escaped(&chain(&problem).to_string()));
        return ExitCode::from(2);
    }
    match resolved
        .map_err(Fatal::from)
        .and_then(|resolved| start(args, &resolved))
    {
        Ok(code) => code,
        Err(problem) => {
            error!("{}", chain(&*problem));
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args, resolved: &Resolved) -> Result<ExitCode, Fatal> {
    if let Some(place) = &resolved.taken_from {
        info!("configuration: read from {place}");
    }
    for warning in &resolved.warnings {
        warn!("configuration: {warning}");
    }
    if let Some(path) = &args.write_config_to {
        std::fs::write(path, resolved.to_yaml()?)
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        info!(file = %path.display(), "wrote the configuration");
        return Ok(ExitCode::SUCCESS);
    }
    let modules = if args.no_modprobe {
        ModulePolicy::DoNotLoad
    } else {
        ModulePolicy::Load
    };
    let stop = StopSignal::new()?;
    let backend = settings::iptables_backend(resolved.settings.iptables_backend);
    let mut kernel = LinuxKernel::open(modules)?
        .with_iptables(backend)
        .with_stop(stop.clone());
    if args.cleanup {
        let sweeper = Sweeper::open(backend).with_stop(stop);
        return Ok(clean::clean(&mut kernel, sweeper, &resolved.node)?);
    }
    if args.init_only {
        return Ok(settings::write(&mut kernel, &resolved.node)?);
    }
    info!(
        node = &*resolved.node.node_name,
        scheduler = &*resolved.node.scheduler.0,
        version = crate::VERSION,
        "kube-ipvsd starts"
    );
    settings::rank_for_memory(resolved.settings.oom_score_adj);
    let descriptors = descriptors::raise_limit();
    if !args.force {
        single_instance::refuse_second(resolved.settings.metrics_bind_address)?;
    }
    work(args, resolved, &mut kernel, &stop, descriptors)
}

/// Runs the loop with everything beside it. A stop signal sets `stop_kernel`, which ends calls of
/// the kernel. `descriptors` is the limit of open files.
fn work(
    args: &Args,
    resolved: &Resolved,
    kernel: &mut LinuxKernel,
    stop_kernel: &StopSignal,
    descriptors: u64,
) -> Result<ExitCode, Fatal> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (to_loop, sources) = mpsc::channel(INPUTS);
    let (to_node, node) = mailbox();
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(stop_on_signal(stop.clone(), stop_kernel.clone()));
    let reload = Arc::new(Notify::new());
    if !args.once {
        let reload = args.config.is_some().then(|| Arc::clone(&reload));
        hangup::follow(runtime.handle(), reload);
    }
    let (label_keys, read_labels) = watch::channel(Arc::new(resolved.node.label_keys()));
    let labels = LabelKeys::following(read_labels);
    let source = source(&runtime, args, resolved, labels)?;
    let mut resolved = resolved.clone();
    let hosts = api_server::hosts(&source, resolved.kubeconfig.as_deref());
    let api_server = runtime.block_on(Names::of(hosts, resolve));
    resolved.node.api_server = api_server.addresses();
    let resolved = &resolved;
    if let SourceConfig::Kube { .. } = source
        && let Err(problem) = api_server::release(kernel, &resolved.node)
    {
        warn!(
            "failed to check kube-ipvs0 for addresses of the API server: {}; an address that is bound there makes the \
             API server unreachable",
            chain(&problem)
        );
    }
    // With `--once` there is no second list that could confirm a deletion.
    let confirmation = match args.once {
        true => Confirmation::default(),
        false => Confirmation {
            after: resolved.settings.deletion_confirmation,
            of_first: has_addresses(kernel),
        },
    };
    let sink = EventSink::new(source.names(), to_loop).with_confirmation(confirmation);
    let progress = sink.progress().clone();
    let connection = feed(&runtime, source, sink, args.once)?;
    let mut observers: Vec<Box<dyn Observer>> = Vec::new();
    let mut interfaces = None;
    if !args.once {
        let (config, in_force) = watch::channel(Arc::new(resolved.clone()));
        let sources = Sources {
            progress,
            requests: (connection.as_ref()).map(|connection| connection.requests.clone()),
            flags: args.shown.clone(),
        };
        let (telemetry, errors) = TelemetryObserver::start(
            resolved,
            sources,
            runtime.handle(),
            &stopped,
            in_force.clone(),
            descriptors,
        )?;
        let second_proxy = SecondProxyWatch::new(
            resolved.node.node_name.clone(),
            resolved.node.sync_period,
            to_node.clone(),
            telemetry.metrics(),
        );
        runtime.spawn(second_proxy.follow(in_force.clone()));
        observers.push(Box::new(second_proxy));
        let (wanted_observer, wanted) = probes::wanted::wanted();
        let (read, authorities) = watch::channel(Arc::<probes::Authorities>::default());
        runtime.spawn(probes::authorities::follow(in_force.clone(), read));
        runtime.spawn(probes::run(
            telemetry.probes(),
            wanted,
            to_node.clone(),
            telemetry.metrics(),
            usize::try_from(resolved.settings.health_checks_max_concurrent).unwrap_or(usize::MAX),
            move |target| {
                let authorities = Arc::clone(&authorities.borrow());
                async move { probes::probe(&target, &authorities).await }
            },
        ));
        observers.push(Box::new(wanted_observer));
        runtime.spawn(pass_on(in_force, to_node.clone(), label_keys));
        runtime.spawn(api_server.follow(config.clone(), resolve));
        if let Some(path) = &args.config {
            let watcher = ConfigWatcher {
                path: path.clone(),
                overrides: args.overrides(),
                hostname: sources::node_state::hostname(),
                metrics: telemetry.metrics(),
                config,
                reload,
            };
            runtime.spawn(watcher.run());
        }
        let node = &resolved.node.node_name;
        let events = connection.map(|connection| {
            runtime.spawn(version::follow(connection.clone(), telemetry.metrics()));
            serve_errors::publish(&connection, node, telemetry.metrics(), runtime.handle())
        });
        runtime.spawn(serve_errors::follow(
            errors,
            node.clone(),
            events.clone(),
            stop.clone(),
        ));
        observers.extend(events.map(|events| {
            let recorder = events::EventRecorder::start(events, node.clone());
            Box::new(recorder) as Box<dyn Observer>
        }));
        observers.extend(follow_udp(&telemetry));
        observers.extend(follow_traffic(
            &telemetry,
            resolved.settings.service_metrics,
        ));
        observers.push(Box::new(ChangeRecorder::new(telemetry.change_log())));
        observers.push(Box::new(telemetry));
        interfaces = interfaces::watch(to_node.clone());
    }
    observers.push(Box::new(leftovers::Leftovers::new(
        settings::iptables_backend(resolved.settings.iptables_backend),
        resolved.node.node_name.clone(),
        args.remove_leftovers,
        (!args.once).then_some(to_node),
        stop_kernel.clone(),
    )));
    let until = if args.once {
        Until::Synced
    } else {
        Until::Stopped
    };
    let reconciler = Reconciler::new(resolved.node.clone(), seed(), Instant::now());
    let inputs = Inputs {
        sources,
        node,
        stop: stopped,
    };
    let ended = run(
        kernel,
        reconciler,
        inputs,
        &mut observers,
        runtime.handle(),
        until,
    );
    drop((observers, interfaces));
    runtime.shutdown_background();
    Ok(conclude(ended))
}

/// Passes each new configuration to the loop, and the labels that it reads to the source.
async fn pass_on(
    mut config: watch::Receiver<Arc<Resolved>>,
    to_loop: NodeEvents,
    label_keys: watch::Sender<Arc<BTreeSet<Name>>>,
) {
    while config.changed().await.is_ok() {
        let node = config.borrow_and_update().node.clone();
        let keys = node.label_keys();
        label_keys.send_if_modified(|known| {
            let differs = **known != keys;
            *known = Arc::new(keys);
            differs
        });
        to_loop.configured(node);
    }
}

/// Starts the deletion of stale UDP flows. Returns `None` if it cannot start.
fn follow_udp(telemetry: &TelemetryObserver) -> Option<Box<dyn Observer>> {
    match udp_flows::Watcher::start(telemetry.metrics()) {
        Ok(watcher) => Some(Box::new(watcher)),
        Err(problem) => {
            warn!(
                "stale UDP flows are not deleted until the next start: {}",
                chain(&problem)
            );
            None
        }
    }
}

/// Starts the reading of the kernel's counters if `asked` enables it.
fn follow_traffic(
    telemetry: &TelemetryObserver,
    asked: ServiceMetrics,
) -> Option<Box<dyn Observer>> {
    let endpoints = match asked {
        ServiceMetrics::Off => return None,
        ServiceMetrics::Service => false,
        ServiceMetrics::Endpoint => true,
    };
    match traffic::Watcher::start(telemetry.traffic(), endpoints) {
        Ok(watcher) => Some(Box::new(watcher)),
        Err(problem) => {
            warn!(
                "no traffic metrics until the next start: {}",
                chain(&problem)
            );
            None
        }
    }
}

/// Returns the source that the command line names.
fn source(
    runtime: &Runtime,
    args: &Args,
    resolved: &Resolved,
    labels: LabelKeys,
) -> Result<SourceConfig, Fatal> {
    if !args.manifests.is_empty() {
        return Ok(SourceConfig::Files {
            paths: args.manifests.clone(),
            watch: !args.once,
        });
    }
    let settings = KubeSettings {
        nodes: resolved.settings.watched_nodes,
        labels,
        ..KubeSettings::new(resolved.node.node_name.clone())
    };
    Ok(SourceConfig::Kube {
        connection: runtime.block_on(connect(resolved.kubeconfig.as_deref(), None))?,
        settings: Box::new(settings),
    })
}

/// Returns true if the dummy device has addresses of an earlier process, and false if it cannot be
/// read.
fn has_addresses(kernel: &mut LinuxKernel) -> bool {
    let scope = Scope {
        addresses: true,
        ..Scope::NOTHING
    };
    (kernel.observe(&scope)).is_ok_and(|live| !live.tables.addresses.is_empty())
}

/// Starts `source`, or with `once` lists it once. Returns the connection if the source is an API
/// server.
fn feed(
    runtime: &Runtime,
    source: SourceConfig,
    sink: EventSink,
    once: bool,
) -> Result<Option<Connection>, Fatal> {
    let connection = match &source {
        SourceConfig::Files { .. } => None,
        SourceConfig::Kube { connection, .. } => Some(connection.clone()),
    };
    match &source {
        SourceConfig::Kube {
            connection,
            settings,
        } if once => {
            let events = runtime.block_on(list_once(connection, settings))?;
            let arrived = Instant::now();
            runtime.spawn(async move {
                for event in events {
                    if sink.cluster(event, arrived).await.is_err() {
                        return;
                    }
                }
            });
        }
        _ => drop(runtime.spawn(sources::run(source, sink))),
    }
    Ok(connection)
}

fn conclude(ended: Ended) -> ExitCode {
    match ended {
        Ended::Stopped => {
            info!("stopped; the node's tables stay as they are");
            ExitCode::SUCCESS
        }
        Ended::Synced {
            failed: 0,
            problems: 0,
        } => ExitCode::SUCCESS,
        Ended::Synced { failed, problems } => {
            error!(
                failed,
                problems, "the sync is incomplete; see the errors above"
            );
            ExitCode::FAILURE
        }
        Ended::NoInput => {
            error!("the sources ended before their lists were complete; nothing was changed");
            ExitCode::FAILURE
        }
    }
}

async fn stop_on_signal(stop: watch::Sender<bool>, stop_kernel: StopSignal) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        warn!("SIGTERM and SIGINT cannot be caught; they end the process at once");
        // The channel must stay open: the loop waits for it.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.send_replace(true);
    stop_kernel.set();
    std::future::pending::<()>().await;
}

/// Returns a seed that spreads the retries of nodes that started at the same time.
fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.subsec_nanos());
    u64::from(nanoseconds) << 32 | u64::from(std::process::id())
}
