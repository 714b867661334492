//! `cargo xtask dist`: writes the files of a release.

use clap::Args;
use std::path::Path;

use super::layer::{Digest, archive, compress};
use super::tree::Tree;
use super::{Content, Profile, Source, VERSION, oci, programs};
use crate::error::{Context, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;
use crate::vm::shell;

/// Shells with a completion script, and the script's path in an installation.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/ipvsctl"),
    ("fish", "share/fish/vendor_completions.d/ipvsctl.fish"),
    ("zsh", "share/zsh/site-functions/_ipvsctl"),
];

/// `cargo xtask dist …`
#[derive(Args)]
#[command(after_help = "\
It writes to target/dist, for the architecture of this machine:
  kube-ipvs-VERSION-linux-ARCH.tar.gz      static programs, manual pages, completions, systemd unit
  kube-ipvs-VERSION-linux-ARCH.oci.tar     the container image
  kube-ipvs-VERSION-linux-ARCH.cdx.json    its bill of materials, CycloneDX 1.6
  SHA256SUMS-ARCH                          for `sha256sum --check`

The programs print the version and the commit. The same sources and Debian packages give the same
bytes.")]
pub(crate) struct Arguments {
    /// Use programs of the dev profile: built faster, larger, slower
    #[arg(long)]
    dev: bool,
}

/// Builds the programs and writes the files.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let profile = match arguments.dev {
        true => Profile::Dev,
        false => Profile::Release,
    };
    let source = Source::of(project)?;
    let built = programs::build(project, profile, &source.version())?;
    let content = Content::new(project, built, &source.version())?;
    let architecture = oci::architecture();
    let name = format!("kube-ipvs-{VERSION}-linux-{architecture}");
    say(format_args!("writing {name}"));
    let tree = installation(project, &content, &format!("kube-ipvs-{VERSION}"))?;
    let layers = content.layers(source.time)?;
    let outputs = [
        ("tar.gz", compress(&archive(&tree, source.time)?)?),
        (
            "oci.tar",
            oci::archive(&oci::files(&layers, &source.about())?, source.time)?,
        ),
        ("cdx.json", content.sbom.clone()),
    ];
    let place = project.target.join("dist");
    let mut sums = String::new();
    for (extension, bytes) in &outputs {
        let file = format!("{name}.{extension}");
        sums.push_str(&format!("{}  {file}\n", Digest::of(bytes).hex()));
        files::write(&place.join(file), bytes)?;
    }
    files::write(&place.join(format!("SHA256SUMS-{architecture}")), &sums)?;
    print!("{sums}");
    Ok(0)
}

/// Returns the files of an installation below `folder`.
fn installation(project: &Project, content: &Content, folder: &str) -> Result<Tree> {
    let (bin, doc) = (
        format!("{folder}/bin"),
        format!("{folder}/share/doc/kube-ipvs"),
    );
    let mut tree = programs::tree(project, &content.built, &content.dependencies, [&bin, &doc])?;
    let ipvsctl = content.program("ipvsctl");
    for (shell_name, path) in COMPLETIONS {
        let script = shell::output(&ipvsctl, &["completion", shell_name])?;
        tree.file(&format!("{folder}/{path}"), 0o644, script);
    }
    let pages = project.target.join("dist/man");
    files::remove(&pages)?;
    files::create(&pages)?;
    shell::output(&ipvsctl, &["man", "--directory", &pages.to_string_lossy()])?;
    add_files(&mut tree, &pages, &format!("{folder}/share/man/man1"))?;
    files::remove(&pages)?;
    let units = project.root.join("manifests/systemd");
    add_files(&mut tree, &units, &format!("{folder}/lib/systemd/system"))?;
    Ok(tree)
}

/// Adds the files in `directory` to the tree, below `folder`.
fn add_files(tree: &mut Tree, directory: &Path, folder: &str) -> Result {
    for path in files::entries(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = std::fs::read(&path).context(|| format!("reading {}", path.display()))?;
        tree.file(&format!("{folder}/{name}"), 0o644, bytes);
    }
    Ok(())
}
