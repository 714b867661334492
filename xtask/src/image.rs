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
//! | [`dependencies`], [`sbom`] | crates in the programs, their notices, and the bill of materials |
//! | [`bundle`](mod@bundle) | the unpacked image, for `crun` |

pub(crate) mod bundle;
mod dependencies;
pub(crate) mod dist;
mod layer;
mod oci;
mod packages;
mod programs;
mod sbom;
mod tree;

use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;

pub(crate) use self::bundle::{BundleSpec, CAPABILITIES, Mount, Rights, bundle};
use self::dependencies::Dependency;
use self::layer::Layer;
use self::oci::About;
pub(crate) use self::oci::NAME;
pub(crate) use self::programs::{Built, PROGRAMS, Profile, Program, compile, static_flags, target};
use self::tree::Tree;
use crate::vm::shell;

/// Version of the project.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Folder of documents in the image.
const DOCUMENTS: &str = "usr/share/doc/kube-ipvs";

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
    let source = Source::of(project)?;
    let built = programs::build(project, profile, &source.version())?;
    let content = Content::new(project, built, &source.version())?;
    let layers = content.layers(source.time)?;
    if arguments.check_reproducible {
        let again = Content::new(project, content.built, &source.version())?;
        check_reproducible(&layers, &again.layers(source.time)?)?;
    }
    let place = project.target.join("image");
    let directory = place.join("oci");
    files::remove(&directory)?;
    let image = oci::files(&layers, &source.about())?;
    for (name, bytes) in &image {
        files::write(&directory.join(name), bytes)?;
    }
    let archive = oci::archive(&image, source.time)?;
    files::write(&place.join("kube-ipvs.tar"), archive)?;
    println!("{}", sizes(&layers));
    Ok(0)
}

/// The sources of a build.
pub(crate) struct Source {
    /// Commit, shortened, with `.changed` after it if files differ; `None` without git.
    commit: Option<String>,
    /// Time of every file, in seconds since 1970.
    pub(crate) time: u64,
}

impl Source {
    /// Reads the commit from git, and the time from SOURCE_DATE_EPOCH.
    pub(crate) fn of(project: &Project) -> Result<Self> {
        let root = project.root.to_string_lossy();
        let git = |arguments: &[&str]| shell::output("git", &[&["-C", &*root], arguments].concat());
        let commit = git(&["rev-parse", "--short=12", "HEAD"])
            .ok()
            .map(|commit| {
                let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
                let mark = if changed.is_ok_and(|changed| changed.is_empty()) {
                    ""
                } else {
                    ".changed"
                };
                format!("{}{mark}", commit.trim())
            });
        let time = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => {
                (text.trim().parse()).context(|| format!("SOURCE_DATE_EPOCH is {text:?}"))?
            }
            Err(_) => 0,
        };
        Ok(Self { commit, time })
    }

    /// Returns the version that the programs print: `0.1.0+61d79ca12345`.
    pub(crate) fn version(&self) -> String {
        match &self.commit {
            Some(commit) => format!("{VERSION}+{commit}"),
            None => VERSION.to_owned(),
        }
    }

    /// Returns the metadata of an image.
    pub(crate) fn about(&self) -> About {
        About {
            version: VERSION.to_owned(),
            commit: self.commit.clone(),
            repository: env!("CARGO_PKG_REPOSITORY").to_owned(),
            time: self.time,
        }
    }
}

/// Contents of an image.
pub(crate) struct Content {
    /// Our programs.
    pub(crate) built: Vec<Built>,
    /// The crates in them.
    pub(crate) dependencies: BTreeSet<Dependency>,
    /// The bill of materials.
    pub(crate) sbom: Vec<u8>,
    /// The layers' files, lowest first.
    trees: [Tree; 2],
}

impl Content {
    /// Collects the contents. The programs print `version`.
    pub(crate) fn new(project: &Project, built: Vec<Built>, version: &str) -> Result<Self> {
        let dependencies = dependencies::of_programs(project, &target())?;
        let (packages, versions) = packages::tree()?;
        let product = sbom::Product {
            version,
            architecture: oci::architecture(),
        };
        let sbom = sbom::document(&product, &dependencies, &versions);
        let sbom = format!("{sbom:#}\n").into_bytes();
        let folders = ["usr/local/bin", DOCUMENTS];
        let mut programs = programs::tree(project, &built, &dependencies, folders)?;
        programs.file(&format!("{DOCUMENTS}/sbom.cdx.json"), 0o644, sbom.clone());
        Ok(Self {
            built,
            dependencies,
            sbom,
            trees: [packages, programs],
        })
    }

    /// Returns the layers, lowest first.
    pub(crate) fn layers(&self, time: u64) -> Result<[Layer; 2]> {
        let [packages, programs] = &self.trees;
        Ok([
            Layer::new("packages", packages, time)?,
            Layer::new("programs", programs, time)?,
        ])
    }

    /// Returns the path of our program `name`.
    fn program(&self, name: &str) -> String {
        let named = self.built.iter().find(|(built, _)| *built == name);
        named.map_or_else(String::new, |(_, path)| path.to_string_lossy().into_owned())
    }

    /// Returns the files of the image, the lower layer first.
    pub(crate) fn trees(&self) -> &[Tree; 2] {
        &self.trees
    }
}

/// Unpacks the image for the tests in the VM, with all rights and the node's network.
pub(crate) fn test_bundle(project: &Project, profile: Profile) -> Result<PathBuf> {
    let directory = project.root.join("target/vm/image");
    files::remove(&directory)?;
    say("the container image for the VM");
    let spec = BundleSpec::default();
    bundle(project, profile, &directory, &spec)?;
    Ok(directory)
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
