//! `kube-ipvs-test-apiserver`: the API server in memory as a separate process.

use apiserver::{Server, ServerConfig};
use clap::Parser;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// A Kubernetes API server in memory, for tests and demos.
///
/// It prints its URL on the first line and serves until it receives SIGINT or SIGTERM.
/// `GET /faults` returns the active faults; `POST /faults/NAME` turns one on.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen at; port 0 selects a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write a kubeconfig file for this server.
    #[arg(long, value_name = "OUT")]
    kubeconfig: Option<PathBuf>,
    /// Manifests to load: YAML or JSON.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    load: Vec<PathBuf>,
    /// First revision, for a server that replaces another one.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    first_revision: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            eprintln!("kube-ipvs-test-apiserver: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    use tokio::signal::unix::{SignalKind, signal};
    let server = Server::start(ServerConfig {
        listen: args.listen,
        first_revision: args.first_revision,
        ..ServerConfig::default()
    })
    .await?;
    for path in &args.load {
        server.load(path)?;
    }
    if let Some(path) = &args.kubeconfig {
        server.kubeconfig().write(path)?;
    }
    println!("{}", server.url());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
