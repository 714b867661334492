//! The steps of `cargo xtask test`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::lanes;
use super::targets::{self, Built, VmTest};
use super::{Arguments, Outcome, Step};
use crate::bench;
use crate::error::{Context, Error, Result};
use crate::image;
use crate::instructions;
use crate::libtest::Counts;
use crate::manifests;
use crate::project::Project;
use crate::say::say;
use crate::tidy;
use crate::vm::{self, Backend, VmSpec, output};

/// Runs one step.
pub(crate) fn run(project: &Project, arguments: &Arguments, step: Step) -> Result<Outcome> {
    match step {
        Step::Fmt => check(project, &["fmt", "--all", "--check"]),
        Step::Tidy => tidy_up(project),
        Step::Manifests => manifests(project),
        Step::Deny => deny(project),
        Step::Clippy => check(
            project,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ],
        ),
        Step::Unit => unit(project, &arguments.arguments),
        Step::Instructions => instructions(project, &arguments.arguments),
        Step::Vm => {
            let mut spec = VmSpec::new("", Vec::new());
            spec.backend = arguments.backend;
            vm(project, &spec, &arguments.target, &arguments.arguments).map(Outcome::Tests)
        }
        Step::Smoke if arguments.backend == Backend::Qemu || !arguments.target.is_empty() => {
            Ok(Outcome::NotRun("other VM tests were asked for".to_owned()))
        }
        Step::Smoke => smoke(project).map(Outcome::Tests),
        Step::Bench => bench::quick(project).map(|cases| {
            say(format_args!("{cases} operations were measured"));
            Outcome::Clean
        }),
    }
}

/// Tests that run on each of Debian's kernels, where a system call is cheap and everything else
/// expensive: programs, and some of their tests.
const SMOKE: [(&str, &[&str]); 4] = [
    ("linux_contract", &[]),
    ("linux_rules", &[]),
    ("rendered", &[]),
    ("node", &["matrix::load_balancer"]),
];

/// Runs [`SMOKE`] on the cloud kernel of this suite and on that of the next one.
fn smoke(project: &Project) -> Result<Counts> {
    let built = targets::build(project)?;
    let mut specs = Vec::new();
    for kernel in [None, Some(vm::next_kernel::package(project)?)] {
        let suffix = if kernel.is_some() { "-next" } else { "" };
        let mut spec = VmSpec::new("", Vec::new());
        spec.backend = Backend::Qemu;
        spec.kernel = kernel;
        for (name, tests) in SMOKE {
            let tests: Vec<String> = tests.iter().map(|test| (*test).to_owned()).collect();
            let mut found = specs_of(project, &built, &spec, &[name.to_owned()], &tests)?;
            for spec in &mut found {
                spec.name.push_str(suffix);
            }
            specs.extend(found);
        }
    }
    Ok(lanes::run(project, specs))
}

/// Builds the VM test programs and runs each in its own VM, as `spec` describes.
///
/// # Errors
/// When they cannot be built, or when no program has one of these names.
pub(crate) fn vm(
    project: &Project,
    spec: &VmSpec,
    names: &[String],
    arguments: &[String],
) -> Result<Counts> {
    let built = targets::build(project)?;
    let specs = specs_of(project, &built, spec, names, arguments)?;
    Ok(lanes::run(project, specs))
}

/// Returns a VM for each test program with one of these names, or for all programs if there is no
/// name.
fn specs_of(
    project: &Project,
    built: &Built,
    spec: &VmSpec,
    names: &[String],
    arguments: &[String],
) -> Result<Vec<VmSpec>> {
    let chosen: Vec<&VmTest> = built
        .tests
        .iter()
        .filter(|test| names.is_empty() || names.contains(&test.target))
        .collect();
    if chosen.is_empty() {
        return Err(Error::new("the workspace has no such VM tests"));
    }
    let needs_image = |test: &&VmTest| test.needs.image && spec.backend == Backend::Uml;
    let bundle = match chosen.iter().copied().any(|test| needs_image(&test)) {
        true => Some(image::test_bundle(project, image::Profile::Release)?),
        false => None,
    };
    let mut specs = Vec::new();
    for test in chosen {
        let mut whole = spec_of(spec, built, test, arguments);
        if let Some(bundle) = bundle.as_ref().filter(|_| needs_image(&test)) {
            let name = bundle.to_string_lossy().into_owned();
            whole.env.push(("E2E_IMAGE".to_owned(), name));
        }
        specs.extend(shards(whole, test.needs.shards, arguments));
    }
    Ok(specs)
}

/// Returns the VMs among which the tests of one program are divided. Tests that the command line
/// selects run in one VM.
fn shards(whole: VmSpec, count: Option<u64>, arguments: &[String]) -> Vec<VmSpec> {
    match count {
        Some(count) if count > 1 && arguments.is_empty() => (1..=count)
            .map(|number| {
                let mut shard = whole.clone();
                shard.name = format!("{}-{number}", whole.name);
                let which = format!("{number}/{count}");
                shard.env.push(("VM_SHARD".to_owned(), which));
                shard
            })
            .collect(),
        _ => vec![whole],
    }
}

/// Returns the VM for one test program.
fn spec_of(spec: &VmSpec, built: &Built, test: &VmTest, arguments: &[String]) -> VmSpec {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut spec = spec.clone();
    spec.name = format!("{}-{}", test.package, test.target);
    spec.directory.clone_from(&test.directory);
    spec.memory_mib = spec.memory_mib.max(test.needs.memory_mib.unwrap_or(0));
    let timeout = Duration::from_secs(test.needs.timeout_seconds.unwrap_or(0));
    spec.timeout = spec.timeout.max(timeout);
    spec.without_modules
        .extend(test.needs.without_modules.iter().cloned());
    spec.packages.extend(test.needs.packages.iter().cloned());
    spec.files.push(test.executable.clone());
    spec.files.extend(built.programs.iter().cloned());
    spec.env.extend([
        ("VM_BIN".to_owned(), text(&built.directory)),
        ("CARGO_MANIFEST_DIR".to_owned(), text(&test.directory)),
    ]);
    spec.command = vec![text(&test.executable)];
    spec.command.extend_from_slice(arguments);
    spec
}

fn check(project: &Project, arguments: &[&str]) -> Result<Outcome> {
    let mut command = project.cargo();
    let status = (command.args(arguments).status())
        .context(|| format!("starting `cargo {}`", arguments.join(" ")))?;
    Ok(if status.success() {
        Outcome::Clean
    } else {
        Outcome::Failed(format!("`cargo {}`", arguments.join(" ")))
    })
}

fn tidy_up(project: &Project) -> Result<Outcome> {
    let found = tidy::complaints(project)?;
    for complaint in &found {
        say(complaint);
    }
    Ok(match found.len() {
        0 => Outcome::Clean,
        count => Outcome::Failed(format!("{count} to put right, see `cargo xtask tidy`")),
    })
}

fn manifests(project: &Project) -> Result<Outcome> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Outcome::NotRun("Helm is packed for x86-64 only".to_owned()));
    }
    manifests::check(project).map(Outcome::Tests)
}

fn deny(project: &Project) -> Result<Outcome> {
    let installed = project
        .cargo()
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed {
        let why = "cargo-deny is not installed: cargo install cargo-deny";
        return Ok(Outcome::NotRun(why.to_owned()));
    }
    check(
        project,
        &[
            "deny",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ],
    )
}

fn instructions(project: &Project, arguments: &[String]) -> Result<Outcome> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Outcome::NotRun("the baseline is that of x86-64".to_owned()));
    }
    // Options are for the test programs of other steps.
    let names = arguments.iter().filter(|word| !word.starts_with('-'));
    let filters: Vec<String> = names.cloned().collect();
    instructions::check(project, &filters).map(Outcome::Tests)
}

fn unit(project: &Project, arguments: &[String]) -> Result<Outcome> {
    let mut tests = vec!["--lib".to_owned(), "--bins".to_owned()];
    for name in targets::host_tests(project.packages())? {
        tests.extend(["--test".to_owned(), name]);
    }
    let mut sum = cargo_test(project, &tests, arguments)?;
    sum += cargo_test(project, &["--doc".to_owned()], arguments)?;
    Ok(Outcome::Tests(sum))
}

/// Runs `cargo test` for some targets of the workspace.
fn cargo_test(project: &Project, which: &[String], arguments: &[String]) -> Result<Counts> {
    let mut child = project
        .cargo()
        .args(["test", "--workspace", "--no-fail-fast", "--features"])
        .arg(targets::features(project))
        .args(which)
        .arg("--")
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "starting `cargo test`")?;
    let stdout = child.stdout.take();
    let all = stdout.map(|stdout| output::copy(stdout, std::io::stdout()));
    let all = all.unwrap_or_default();
    let status = child.wait().context(|| "waiting for `cargo test`")?;
    Ok(Counts::of_program(
        &String::from_utf8_lossy(&all),
        status.success(),
    ))
}
