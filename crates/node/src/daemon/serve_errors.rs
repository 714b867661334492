//! Errors of the HTTP servers: logged, sent as Events, and fatal if `bindAddressHardFail` is set.

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

/// Starts the sender of Events about `node`. Dropped Events are counted in `metrics`.
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

/// Handles `errors` as long as a server runs. Stops the daemon by `stop` if a mandatory address
/// cannot be bound.
pub(super) async fn follow(
    mut errors: ServeErrors,
    node: Name,
    events: Option<Events>,
    stop: watch::Sender<bool>,
) {
    let send = |event| {
        if let Some(events) = &events {
            events.record(event);
        }
    };
    loop {
        tokio::select! {
            Some(problem) = errors.fatal.recv() => {
                error!("{}", model::chain(&problem));
                send(events::bind_failure(&node, &problem));
                stop.send_replace(true);
            }
            // The server logs it with each attempt.
            Some(problem) = errors.refused.recv() => send(events::bind_failure(&node, &problem)),
            Some(failure) = errors.checks.recv() => {
                warn!("{}", model::chain(&failure));
                send(events::listen_failure(&node, &failure));
            }
            else => return,
        }
    }
}
