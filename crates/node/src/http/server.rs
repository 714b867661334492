//! A server that is to be at its address whatever stands in the way at the start.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{ConnectionPool, Handler, Limits, listen, serve};

/// One server of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name in logs: `proxy health server`.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// True if the daemon ends where an address cannot be had (`bindAddressHardFail`).
    pub hard_fail: bool,
    /// After how long it is tried again otherwise.
    pub retry: Duration,
    /// Limits of clients.
    pub limits: Limits,
}

/// An address at which a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the {name} at {address}")]
pub struct BindError {
    /// The server.
    pub name: &'static str,
    /// Its address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

impl Server {
    /// A server with kube-proxy's ways: it tries again every 5 s.
    #[must_use]
    pub fn new(name: &'static str, address: SocketAddr, hard_fail: bool) -> Self {
        Self {
            name,
            address,
            hard_fail,
            retry: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }

    /// Serves until `stop` is true or its sender is gone; connections count in `pool`. When the address cannot be had at first, and
    /// is tried again, `refused` is told once.
    ///
    /// # Errors
    ///
    /// With `hard_fail`, when the address cannot be had at once.
    pub async fn run(
        self,
        handler: Handler,
        pool: ConnectionPool,
        mut stop: watch::Receiver<bool>,
        refused: mpsc::Sender<BindError>,
    ) -> Result<(), BindError> {
        let Some(listener) = self.bind(&mut stop, refused).await? else {
            return Ok(());
        };
        info!(address = %self.address, "{} listens", self.name);
        serve(listener, handler, self.limits, &pool, stop).await;
        Ok(())
    }

    /// Binds the address; `None` if told to stop before it was free.
    async fn bind(
        &self,
        stop: &mut watch::Receiver<bool>,
        refused: mpsc::Sender<BindError>,
    ) -> Result<Option<TcpListener>, BindError> {
        let mut refused = Some(refused);
        loop {
            let error = match listen(self.address) {
                Ok(listener) => return Ok(Some(listener)),
                Err(source) => BindError {
                    name: self.name,
                    address: self.address,
                    source,
                },
            };
            if self.hard_fail {
                return Err(error);
            }
            warn!("{}; trying again", model::chain(&error));
            if let Some(refused) = refused.take() {
                // It is logged above; an Event more or less does not matter.
                let _ = refused.try_send(error);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(None),
                () = sleep(self.retry) => {}
            }
        }
    }
}
