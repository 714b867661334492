//! `cargo xtask image`: builds the container image, without a container engine.
//!
//! The image has two layers: iptables in both variants from Debian packages, and our static
//! programs. It has no shell, no package manager and no `modprobe`: the kernel loads IPVS and the
//! modules of sets and rules by itself.
//!
//! | module | contents |
//! |---|---|
//! | [`tree`] | the files of a layer, as values |
//! | [`layer`] | a tree as a reproducible archive |
//! | [`oci`] | the layers as an OCI image: configuration, manifest and files |
//! | [`packages`], [`programs`] | contents of the two layers |
//! | [`bundle`](mod@bundle) | the unpacked image, for `crun` |

pub(crate) mod bundle;
mod layer;
mod licenses;
mod oci;
mod packages;
mod programs;
mod tree;

use clap::Args;
use std::path::PathBuf;

use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;

pub(crate) use self::bundle::{BundleSpec, CAPABILITIES, Mount, Rights, bundle};
use self::layer::Layer;
use self::oci::About;
pub(crate) use self::oci::NAME;
use self::programs::Built;
pub(crate) use self::programs::{Profile, static_flags, target};
use self::tree::Tree;

/// `cargo xtask image …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask image                              target/image/oci and target/image/kube-ipvs.tar
  cargo xtask image --check-reproducible         each layer is made twice and compared
  cargo xtask image --dev --unpack /tmp/bundle -- --once --manifests /etc/kube-ipvs
  crun run --bundle /tmp/bundle kube-ipvs        runs the bundle of the line before

Every file belongs to root and has the time SOURCE_DATE_EPOCH, 0 if it is not set:
the same sources and packages give the same bytes.")]
pub(crate) struct Arguments {
    /// Use programs of the dev profile: built faster, larger, slower
    #[arg(long)]
    dev: bool,
    /// Build each layer twice, and fail if the results differ
    #[arg(long, conflicts_with = "unpack")]
    check_reproducible: bool,
    /// Write a bundle for an OCI runtime to this directory instead of an image; it must be empty or
    /// new
    #[arg(long, value_name = "DIR")]
    unpack: Option<PathBuf>,
    /// With --unpack: give the container the DaemonSet's rights instead of all
    #[arg(long, requires = "unpack")]
    unprivileged: bool,
    /// With --unpack: run in this network namespace instead of the host's
    #[arg(long, value_name = "PATH", requires = "unpack")]
    network_namespace: Option<PathBuf>,
    /// With --unpack: mount this file or directory of the host, read-only unless `:rw`; may be
    /// given several times
    #[arg(long, value_name = "FROM:TO[:rw]", requires = "unpack", value_parser = bundle::parse_mount)]
    mount: Vec<Mount>,
    /// With --unpack: arguments of the program
    #[arg(last = true, requires = "unpack")]
    arguments: Vec<String>,
}

/// Builds the programs and writes the image, or the bundle.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let profile = match arguments.dev {
        true => Profile::Dev,
        false => Profile::Release,
    };
    if let Some(directory) = &arguments.unpack {
        let spec = BundleSpec {
            arguments: arguments.arguments.clone(),
            rights: match arguments.unprivileged {
                true => Rights::DaemonSet,
                false => Rights::All,
            },
            network_namespace: arguments.network_namespace.clone(),
            mounts: arguments.mount.clone(),
        };
        bundle(project, profile, directory, &spec)?;
        println!("{}", directory.display());
        return Ok(0);
    }
    let built = programs::build(project, profile)?;
    let time = time()?;
    let layers = layers(&trees(project, &built)?, time)?;
    if arguments.check_reproducible {
        let again = self::layers(&trees(project, &built)?, time)?;
        check_reproducible(&layers, &again)?;
    }
    write(project, &layers, time)?;
    println!("{}", sizes(&layers));
    Ok(0)
}

/// Unpacks the image for the tests in the VM, with all rights and the node's network.
pub(crate) fn test_bundle(project: &Project) -> Result<PathBuf> {
    let directory = project.root.join("target/vm/image");
    files::remove(&directory)?;
    say("the container image for the VM");
    let spec = BundleSpec::default();
    bundle(project, Profile::Release, &directory, &spec)?;
    Ok(directory)
}

/// Returns the files of the layers, lowest first.
fn trees(project: &Project, built: &[Built]) -> Result<[Tree; 2]> {
    Ok([packages::tree()?, programs::tree(project, built)?])
}

fn layers(trees: &[Tree; 2], time: u64) -> Result<[Layer; 2]> {
    let [packages, programs] = trees;
    Ok([
        Layer::new("packages", packages, time)?,
        Layer::new("programs", programs, time)?,
    ])
}

/// Returns the time of every file, in seconds since 1970.
fn time() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .trim()
            .parse()
            .context(|| format!("SOURCE_DATE_EPOCH is {text:?}")),
        Err(_) => Ok(0),
    }
}

fn check_reproducible(first: &[Layer], second: &[Layer]) -> Result {
    for (first, second) in first.iter().zip(second) {
        if first != second {
            return Err(Error::new(format!(
                "the layer {} is not reproducible: {} and then {}",
                first.name, first.digest, second.digest
            )));
        }
    }
    say("reproducible");
    Ok(())
}

fn write(project: &Project, layers: &[Layer], time: u64) -> Result {
    let about = About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        repository: env!("CARGO_PKG_REPOSITORY").to_owned(),
        time,
    };
    let image = oci::files(layers, &about)?;
    let place = project.target.join("image");
    let directory = place.join("oci");
    files::remove(&directory)?;
    for (name, bytes) in &image {
        files::write(&directory.join(name), bytes)?;
    }
    files::write(&place.join("kube-ipvs.tar"), oci::archive(&image, time)?)
}

/// Returns a line for each layer, and the total.
fn sizes(layers: &[Layer]) -> String {
    let mib = |bytes: usize| {
        let tenths = (bytes * 10).div_ceil(1 << 20);
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    };
    let line = |name: &str, compressed: usize, unpacked: usize| {
        format!(
            "{name:<9} {:>9} compressed {:>9} unpacked",
            mib(compressed),
            mib(unpacked)
        )
    };
    let mut lines: Vec<String> = layers
        .iter()
        .map(|layer| line(layer.name, layer.compressed.len(), layer.unpacked))
        .collect();
    lines.push(line(
        "total",
        layers.iter().map(|layer| layer.compressed.len()).sum(),
        layers.iter().map(|layer| layer.unpacked).sum(),
    ));
    lines.join("\n")
}
