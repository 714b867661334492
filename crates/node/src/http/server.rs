//! A server that binds its address, with retries if the address is taken at the start.

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
    /// Name in logs: `proxy health server`.
    pub name: &'static str,
    /// Address to listen at.
    pub address: SocketAddr,
    /// True if the daemon ends when the address cannot be bound (`bindAddressHardFail`).
    pub hard_fail: bool,
    /// Time between two attempts to bind the address otherwise.
    pub retry: Duration,
    /// Limits of connections.
    pub limits: Limits,
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the {name} at {address}")]
pub struct BindError {
    /// Name of the server.
    pub name: &'static str,
    /// Address of the server.
    pub address: SocketAddr,
    /// Reason of the failure.
    pub source: io::Error,
}

impl Server {
    /// Returns a server that tries to bind its address every 5 s, as kube-proxy does.
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

    /// Serves until `stop` is true or its sender is dropped. Connections count in `pool`. If the
    /// first attempt to bind the address fails, sends the error to `refused` once and tries again.
    ///
    /// # Errors
    ///
    /// With `hard_fail`, the first attempt to bind the address failed.
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

    /// Binds the address. Returns `None` if `stop` became true before.
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
                // The error is logged above, so a lost Event does not matter.
                let _ = refused.try_send(error);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(None),
                () = sleep(self.retry) => {}
            }
        }
    }
}
