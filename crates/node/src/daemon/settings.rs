//! `--init-only`, and the settings of the daemon's own process.

use std::fs;
use std::process::ExitCode;

use kernel::linux::IptablesBackend;
use kernel::{Kernel, ObserveError, OpStatus, apply_plan};
use model::{ClusterState, NodeConfig, Plan, Scope, Stage, chain};
use planner::{Compiler, Ownership};
use sources::config::{self, DaemonSettings};
use tracing::{error, info, warn};

use super::Args;
use crate::logging::LogFormat;

/// Returns the format of log lines and the log filter. The daemon's own flags take precedence over
/// `settings`. The default is text with level info.
pub(super) fn log<'a>(args: &'a Args, settings: Option<&DaemonSettings>) -> (LogFormat, &'a str) {
    let format = match settings.map(|settings| settings.log_format) {
        Some(config::LogFormat::Json) => LogFormat::Json,
        Some(config::LogFormat::Text) | None => LogFormat::Text,
    };
    let level = match settings.map_or(0, |settings| settings.log_verbosity) {
        0..=3 => "info",
        4 | 5 => "debug",
        6.. => "trace",
    };
    let filter = args.log_level.as_deref().unwrap_or(level);
    (args.log_format.unwrap_or(format), filter)
}

/// Converts the packet filter of the configuration to that of the kernel crate.
pub(super) fn iptables_backend(backend: config::IptablesBackend) -> IptablesBackend {
    match backend {
        config::IptablesBackend::Auto => IptablesBackend::Auto,
        config::IptablesBackend::Nft => IptablesBackend::Nft,
        config::IptablesBackend::Legacy => IptablesBackend::Legacy,
    }
}

/// Writes the kernel settings that differ, which takes privileges, and nothing else. The status is
/// 1 if a setting could not be written.
pub(super) fn write(
    kernel: &mut dyn Kernel,
    config: &NodeConfig,
) -> Result<ExitCode, ObserveError> {
    let live = kernel.observe(&Scope {
        settings: true,
        ..Scope::NOTHING
    })?;
    let mut compiler = Compiler::new(config.clone());
    let keys = {
        let all = compiler.look_at_node(&ClusterState::default(), &live.node);
        let desired = &compiler.desired().tables;
        model::TableKeys {
            sysctls: desired.sysctls.keys().cloned().chain(all.sysctls).collect(),
            timeouts: true,
            ..model::TableKeys::default()
        }
    };
    let plan = planner::diff_keys(compiler.desired(), &live, &Ownership::new(config), &keys);
    let plan = Plan {
        stages: plan
            .stages
            .into_iter()
            .filter(Stage::is_about_settings)
            .collect(),
        ..Plan::default()
    };
    let mut failed = 0;
    apply_plan(kernel, &plan, |planned, status| match status {
        OpStatus::Done => info!("{}: {}", planned.op, planned.reason),
        OpStatus::Failed(problem) => {
            failed += 1;
            error!("{}", chain(&problem));
        }
        OpStatus::Skipped => failed += 1,
    });
    info!(
        failed,
        "wrote the kernel settings that differed. {}",
        plan.summary()
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sets `oomScoreAdj`, by which the kernel ranks this process when memory is short.
pub(super) fn rank_for_memory(score: i32) {
    if let Err(problem) = fs::write("/proc/self/oom_score_adj", score.to_string()) {
        warn!(
            score,
            "failed to set oomScoreAdj: {problem}; the process keeps its rank"
        );
    }
}
