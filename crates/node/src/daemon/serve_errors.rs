//! Errors of the servers: logged, sent as Events, and the end of the daemon where configured.

use std::sync::Arc;

use model::names::Name;
use sources::kube::Connection;
use sources::kube::events::Events;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{error, warn};

use crate::events;
use crate::http::telemetry::ServeErrors;
use crate::metrics::Metrics;

/// Where Events about `node` are told; what is not sent is counted.
pub(super) fn publish(
    connection: &Connection,
    node: &Name,
    metrics: Arc<Metrics>,
    runtime: &Handle,
) -> Events {
    let dropped = Arc::new(move |count| metrics.events_dropped(count));
    let (events, publisher) = Events::new(connection, node, dropped);
    runtime.spawn(publisher.run());
    events
}

/// Follows `errors` for as long as there is a server. Ends the daemon by `stop` where an address that must be
/// bound cannot be.
pub(super) async fn follow(
    mut errors: ServeErrors,
    node: Name,
    events: Option<Events>,
    stop: watch::Sender<bool>,
) {
    let tell = |event| {
        if let Some(events) = &events {
            events.tell(event);
        }
    };
    loop {
        tokio::select! {
            Some(problem) = errors.fatal.recv() => {
                error!("{}", model::chain(&problem));
                tell(events::bind_failure(&node, &problem));
                stop.send_replace(true);
            }
            // It is logged where it is tried again.
            Some(problem) = errors.refused.recv() => tell(events::bind_failure(&node, &problem)),
            Some(failure) = errors.checks.recv() => {
                warn!("{}", model::chain(&failure));
                tell(events::listen_failure(&node, &failure));
            }
            else => return,
        }
    }
}
