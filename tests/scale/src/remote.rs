//! Control of the process of the API server.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use crate::message::{Answer, Command, Nanoseconds};

/// A process of this program with `--serve`. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Remote {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Remote {
    /// Starts the process.
    ///
    /// # Errors
    ///
    /// The process does not start.
    pub(crate) fn start() -> io::Result<Self> {
        let mut process = Program::new(std::env::current_exe()?)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take();
        let answers = process.stdout.take().ok_or_else(ended)?;
        Ok(Self {
            process,
            commands,
            answers: BufReader::new(answers),
        })
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap_or_default()
    }

    /// Creates the objects. Returns the URL of the server.
    ///
    /// # Errors
    ///
    /// The process ended.
    pub(crate) fn load(&mut self, command: Command) -> io::Result<String> {
        match self.ask(command)? {
            Answer::Loaded { url } => Ok(url),
            Answer::Changed { .. } => Err(ended()),
        }
    }

    /// Makes changes. Returns their start and the time of each write.
    ///
    /// # Errors
    ///
    /// The process ended.
    pub(crate) fn change(
        &mut self,
        command: Command,
    ) -> io::Result<(Nanoseconds, Vec<Nanoseconds>)> {
        match self.ask(command)? {
            Answer::Changed { at, written } => Ok((at, written)),
            Answer::Loaded { .. } => Err(ended()),
        }
    }

    fn ask(&mut self, command: Command) -> io::Result<Answer> {
        let mut line = serde_json::to_string(&command)?;
        line.push('\n');
        let commands = self.commands.as_mut().ok_or_else(ended)?;
        commands.write_all(line.as_bytes())?;
        commands.flush()?;
        line.clear();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(ended());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // The process ends when its standard input is closed.
        self.commands = None;
        let _ = self.process.wait();
    }
}

fn ended() -> io::Error {
    io::Error::other("the process of the API server did not answer")
}
