//! Services with a known scheduler that this kernel lacks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use e2e::{Context as _, Outcome, ensure};
use serde_json::Value;

use super::scene::{LIMIT, Scene, with_scheduler};

/// A scheduler that many kernels lack. Here `modprobe` never finds it.
const SCHEDULER: &str = "twos";

/// The file with the path of the program that the kernel runs for a missing module.
const KERNELS_MODPROBE: &str = "/proc/sys/kernel/modprobe";

/// Maximum number of lines of the log.
const LINES: usize = 3_000;

pub(super) fn harmless() -> Outcome {
    let modprobe = Modprobe::replace()?;
    let scene = Scene::start_with(|_, command| {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", modprobe.directory.display()));
        Ok(())
    })?;
    let begin = Instant::now();
    let tenants = |range: std::ops::Range<u16>| -> Vec<Value> {
        range
            .map(|number| with_scheduler(number, SCHEDULER))
            .collect()
    };
    scene.beside("100 Services with a missing scheduler", &tenants(0..100))?;
    scene.beside("and 100 more", &tenants(100..200))?;
    let module = format!("ip_vs_{SCHEDULER}");
    scene
        .daemon
        .wait_for_log(LIMIT, &["ERROR", SCHEDULER, &module])?;

    let calls = modprobe.calls(&module)?;
    let seconds = begin.elapsed().as_secs();
    let by_kernel = calls.iter().filter(|call| call.starts_with('-')).count();
    let by_daemon = calls.len() - by_kernel;
    println!(
        "modprobe {module} in {seconds} s: {by_daemon} by the daemon, {by_kernel} by the kernel"
    );
    let most = 1 + usize::try_from(seconds / 60).unwrap_or(usize::MAX);
    ensure((1..=most).contains(&by_daemon) && by_kernel <= most, || {
        format!("expected at most {most} calls of modprobe in {seconds} s, found {calls:?}")
    })?;
    scene.is_ready()?;
    let lines = scene.lines();
    ensure(lines <= LINES, || {
        format!("the log has {lines} lines, more than {LINES}")
    })
}

/// A `modprobe` that replaces the real one for the kernel and the daemon until this is dropped. It
/// records its arguments, rejects [`SCHEDULER`], and otherwise runs the real one.
struct Modprobe {
    directory: std::path::PathBuf,
    real: String,
}

impl Modprobe {
    fn replace() -> Outcome<Self> {
        let directory = std::env::temp_dir().join("e2e-modprobe");
        let action = || format!("writing {}", directory.display());
        fs::create_dir_all(&directory).context(action)?;
        let real = fs::read_to_string(KERNELS_MODPROBE).context(|| KERNELS_MODPROBE.to_owned())?;
        let real = real.trim().to_owned();
        let program = directory.join("modprobe");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{}\ncase \"$*\" in *ip_vs_{SCHEDULER}*) exit 1;; esac\nexec {real} \"$@\"\n",
            log(&directory).display()
        );
        fs::write(&program, script).context(action)?;
        fs::set_permissions(&program, Permissions::from_mode(0o755)).context(action)?;
        let path = program.display().to_string();
        fs::write(KERNELS_MODPROBE, path).context(|| format!("writing {KERNELS_MODPROBE}"))?;
        Ok(Self { directory, real })
    }

    /// Returns the calls for a module, each with its arguments. Calls by the kernel begin with
    /// options.
    fn calls(&self, module: &str) -> Outcome<Vec<String>> {
        let path = log(&self.directory);
        let text = fs::read_to_string(&path).context(|| path.display().to_string())?;
        let calls = text.lines().filter(|line| line.contains(module));
        Ok(calls.map(str::to_owned).collect())
    }
}

impl Drop for Modprobe {
    fn drop(&mut self) {
        // If this fails, the following tests fail for lack of modprobe.
        let _ = fs::write(KERNELS_MODPROBE, &self.real);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn log(directory: &Path) -> std::path::PathBuf {
    directory.join("calls")
}
