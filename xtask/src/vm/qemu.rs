//! Boots QEMU with a Debian cloud kernel and all files in the initramfs.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cpio::Archive;
use super::job::Job;
use super::next_kernel::CURRENT;
use super::session::{CONTROL, Machine, STDERR, STDOUT};
use super::{VmSpec, cache, modules, packages, root, shell};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;

/// Settings that `init` reads: the ports of the virtio console, in the order of the command line.
const SETTINGS: &str = "\
vm_stdout=/dev/vport0p1 vm_stderr=/dev/vport0p2 vm_control=/dev/vport0p3 vm_archive=/dev/vport0p4
vm_terminals=no vm_modules='virtio_pci virtio_console ipv6'
vm_mounts() { :; }
";

/// First inode number of the job's archive, above all numbers of the cached one.
const JOB_INODES: u32 = 1_000_000;

/// Returns the guest's root, the tree of its modules and its kernel, built or downloaded unless they
/// are cached.
pub(super) fn prepare(project: &Project, spec: &VmSpec) -> Result<[PathBuf; 3]> {
    packages::ensure(&["qemu-system-x86", "zstd"])?;
    let root = root::root(project, &spec.packages)?;
    let kernel = kernel(project, spec.kernel.as_deref())?;
    let modules = modules::tree(project, &modules_of(&kernel)?, &spec.without_modules)?;
    Ok([root, modules, kernel])
}

/// Returns the QEMU process that will run the job.
pub(super) fn machine(project: &Project, spec: &VmSpec, job: &Job) -> Result<Machine> {
    let [root, modules, kernel] = prepare(project, spec)?;
    let kept = kept_archive(project, &root, &modules)?;
    job.settings(SETTINGS)?;
    let initrd = job.directory.join("initrd");
    write_initrd(project, spec, job, &kept, &initrd)?;
    let memory = spec.memory_mib + memory_of_initrd(&initrd)?;
    let archive = job.directory.join("out.tar");
    let mut command = Command::new("qemu-system-x86_64");
    command.args(accelerator(
        &fs::read_to_string("/proc/cpuinfo").unwrap_or_default(),
    ));
    command
        .args(["-smp", "2", "-nodefaults", "-no-reboot", "-display", "none"])
        .args(["-m", &format!("{memory}M")])
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(image_of(&kernel)?)
        .arg("-initrd")
        .arg(&initrd)
        .args(["-append", "console=ttyS0 panic=-1 rdinit=/init"])
        .args(["-device", "virtio-serial-pci"]);
    let outputs = [STDOUT, STDERR, CONTROL].map(|number| format!("/proc/self/fd/{number}"));
    let archive_path = archive.to_string_lossy().into_owned();
    for (n, path) in outputs.iter().chain([&archive_path]).enumerate() {
        let number = n + 1;
        command
            .args(["-chardev", &format!("file,id=c{number},path={path}")])
            .args([
                "-device",
                &format!("virtserialport,chardev=c{number},nr={number}"),
            ]);
    }
    Ok(Machine {
        command,
        archive: Some(archive),
    })
}

/// Returns the memory in MiB that a guest needs for its initrd: for the file and for its content at
/// the same time.
///
/// The content is in a tmpfs of at most half of the memory (`shmem_default_max_blocks`, mm/shmem.c).
/// Files that do not fit are missing, and the guest stops for want of its modules.
fn memory_of_initrd(initrd: &Path) -> Result<u64> {
    let metadata = fs::metadata(initrd).context(|| format!("reading {}", initrd.display()))?;
    Ok(2 * metadata.len().div_ceil(1 << 20))
}

/// Returns the accelerator. Hardware virtualisation is used only if the processor has it: inside a
/// virtual machine without it, /dev/kvm may exist and hang.
fn accelerator(cpuinfo: &str) -> [&'static str; 4] {
    let has = cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| {
            line.split_whitespace()
                .any(|flag| matches!(flag, "vmx" | "svm"))
        });
    if has && Path::new("/dev/kvm").exists() {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        ["-accel", "tcg,thread=multi", "-cpu", "max"]
    }
}

/// Returns the unpacked kernel package: the given one, or the current one, downloaded but not
/// installed.
fn kernel(project: &Project, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(package) = given {
        let about = shell::output("dpkg-deb", &["-f".as_ref(), package.as_os_str()])?;
        return cache::directory(project, "kernel", &about, |directory| {
            packages::unpack(package, directory)
        });
    }
    let depends = shell::output("apt-cache", &["depends", CURRENT]).unwrap_or_default();
    let name = dependency(&depends).ok_or_else(|| {
        Error::new(format!(
            "apt knows no kernel package {CURRENT}; refresh its lists with\n  sudo apt-get update"
        ))
    })?;
    packages::unpacked(project, "kernel", &name)
}

/// Returns the package that `apt-cache depends` lists first.
fn dependency(text: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
}

fn image_of(kernel: &Path) -> Result<PathBuf> {
    let is_image = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
    };
    first(&kernel.join("boot"), is_image)?
        .ok_or_else(|| Error::new(format!("no kernel image in {}", kernel.display())))
}

fn modules_of(kernel: &Path) -> Result<PathBuf> {
    for place in ["lib/modules", "usr/lib/modules"] {
        if kernel.join(place).is_dir()
            && let Some(found) = first(&kernel.join(place), Path::is_dir)?
        {
            return Ok(found);
        }
    }
    Err(Error::new(format!("no modules in {}", kernel.display())))
}

fn first(directory: &Path, want: impl Fn(&Path) -> bool) -> Result<Option<PathBuf>> {
    let entries = files::entries(directory)?;
    Ok(entries.into_iter().find(|path| want(path)))
}

/// Returns the compressed archive of root and modules, built once.
fn kept_archive(project: &Project, root: &Path, modules: &Path) -> Result<PathBuf> {
    let description = format!("{} {}", root.display(), modules.display());
    let directory = cache::directory(project, "initrd", &description, |directory| {
        let plain = directory.join("initrd");
        let mut archive = Archive::new(create(&plain)?, 1);
        archive.tree(root, Path::new(""))?;
        archive.tree(modules, Path::new("usr/lib/modules"))?;
        archive.finish()?;
        let plain = plain.to_string_lossy();
        shell::output("zstd", &["-q", "-T0", "-6", "--rm", &*plain]).map(|_| ())
    })?;
    Ok(directory.join("initrd.zst"))
}

/// Writes the initrd: the job's own files first, uncompressed, then the cached ones.
fn write_initrd(project: &Project, spec: &VmSpec, job: &Job, kept: &Path, path: &Path) -> Result {
    let mut archive = Archive::new(create(path)?, JOB_INODES);
    for name in ["command", "settings"] {
        archive.file(&job.directory.join(name), &Path::new("vm/job").join(name))?;
    }
    for file in files_of(project, spec)? {
        let inside = file.strip_prefix("/").unwrap_or(&file);
        archive.file(&file, inside)?;
    }
    let mut output = archive.finish()?;
    let mut kept_file = File::open(kept).context(|| format!("opening {}", kept.display()))?;
    io::copy(&mut kept_file, &mut output)
        .and_then(|_| output.flush())
        .context(|| format!("writing {}", path.display()))
}

/// Returns the project's sources, the files that the command names, and the requested ones.
fn files_of(project: &Project, spec: &VmSpec) -> Result<BTreeSet<PathBuf>> {
    let sources = project.files(&[])?.into_iter().map(PathBuf::from);
    let named = spec.command.iter().map(PathBuf::from);
    // Other files, such as /bin/sh, are the guest's own.
    let ours = |path: &Path| path.starts_with(&project.root) || path.starts_with(&project.target);
    let mut all: BTreeSet<PathBuf> = sources
        .chain(named)
        .map(|path| project.root.join(path))
        .filter(|path| path.is_file() && ours(path))
        .collect();
    for file in &spec.files {
        let path = project.root.join(file);
        if !path.is_file() || !ours(&path) {
            return Err(Error::new(format!(
                "{} is not a file of the project",
                path.display()
            )));
        }
        all.insert(path);
    }
    Ok(all)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).context(|| format!("creating {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
