//! The directories of one run on the host, and the files with the guest's instructions.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::shell::quote;
use super::{Backend, VmSpec};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;

/// The directories of one run.
pub(crate) struct Job {
    /// Directory that the guest sees as `/vm/job`: `command` and `settings`.
    pub(crate) directory: PathBuf,
    /// Files that the command writes to `$VM_OUT`.
    pub(crate) out: PathBuf,
    /// The kernel's messages.
    pub(crate) log: PathBuf,
    /// User-Mode Linux's own files, in a directory of the job's name.
    pub(crate) uml: PathBuf,
}

impl Job {
    /// Creates the empty directories.
    pub(crate) fn create(project: &Project, spec: &VmSpec) -> Result<Self> {
        let job = Job {
            directory: project.vm("run").join(&spec.name),
            out: project.vm("out").join(&spec.name),
            log: project.vm("log").join(format!("{}.log", spec.name)),
            uml: project.vm("uml").join(&spec.name),
        };
        for path in [
            &job.directory,
            &job.out,
            &job.log,
            &project.root,
            &project.target,
        ] {
            let text = path.to_str().unwrap_or(" ");
            if text.contains(|c: char| c.is_whitespace() || c == ',' || c == '"') {
                return Err(Error::new(format!(
                    "the VM cannot be given the path {}: spaces, commas and quotes have a meaning there",
                    path.display()
                )));
            }
        }
        files::remove(&job.uml)?;
        for directory in [&job.directory, &job.out] {
            files::remove(directory)?;
            files::create(directory)?;
        }
        files::create(&project.vm("log"))?;
        files::write(&job.directory.join("command"), command(project, spec))?;
        Ok(job)
    }

    /// Writes the settings that `init` reads.
    pub(crate) fn settings(&self, text: &str) -> Result {
        files::write(&self.directory.join("settings"), text)
    }

    /// Removes the files of a run except the command's output and, if it failed, the log.
    pub(crate) fn finish(&self, good: bool) -> Result {
        files::remove(&self.uml)?;
        files::remove(&self.directory)?;
        // Fails, as intended, if the directory is not empty.
        if fs::remove_dir(&self.out).is_err() {
            say(format_args!("the VM's files are in {}", self.out.display()));
        }
        if good {
            fs::remove_file(&self.log).context(|| format!("removing {}", self.log.display()))?;
        }
        Ok(())
    }
}

/// Returns the shell script of the command.
fn command(project: &Project, spec: &VmSpec) -> String {
    let mut text = String::from("export HOME=/root TERM=dumb VM_OUT=/vm/out\n");
    let backend = match spec.backend {
        Backend::Uml => "uml",
        Backend::Qemu => "qemu",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "export VM_BACKEND={backend}");
    for (name, value) in &spec.env {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
    // Joining an empty path would leave a slash at the end.
    let directory: PathBuf = project.root.iter().chain(&spec.directory).collect();
    let directory = quote(&directory.to_string_lossy());
    let _ = writeln!(text, "cd {directory} || exit 126");
    let words: Vec<String> = spec.command.iter().map(|word| quote(word)).collect();
    let _ = writeln!(text, "exec {}", words.join(" "));
    text
}
