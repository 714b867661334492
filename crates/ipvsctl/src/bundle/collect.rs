//! Collects one part.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sources::proxy;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Origin, Part, without_secrets};

/// Time for the output of one program.
const DEADLINE: Duration = Duration::from_secs(60);
/// Maximum number of bytes of one part; of more the last ones are kept.
const MAXIMUM: usize = 32 << 20;

/// A part with its content, or the reason why it has none.
#[derive(Clone, Debug)]
pub struct Collected {
    /// Name of its file in the archive.
    pub name: String,
    /// Its content in a few words.
    pub about: &'static str,
    /// Content, without secrets; or the reason why there is none.
    pub content: Result<Content, String>,
}

/// Content of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The content of its file.
    pub text: String,
    /// Exit status and messages of the program that wrote it; empty if there are none.
    pub messages: String,
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self {
            text,
            messages: String::new(),
        }
    }
}

/// Collects `part`. It never fails and never waits longer than its deadline.
pub async fn collect(part: Part) -> Collected {
    let content = match &part.origin {
        Origin::Ipvsctl(args) => match std::env::current_exe() {
            Ok(program) => output(Command::new(program).args(args)).await,
            Err(error) => Err(error.to_string()),
        },
        Origin::Program(program, args) => output(Command::new(program).args(*args)).await,
        Origin::File(path) => tail(path)
            .map(Content::from)
            .map_err(|error| error.to_string()),
        Origin::Text(text) => Ok(Content::from(text.clone())),
        Origin::Page(address, path) => {
            let (address, path) = (*address, *path);
            let page = tokio::task::spawn_blocking(move || proxy::get(address, path)).await;
            match page {
                Ok(page) => page.map(Content::from).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        }
    };
    Collected {
        name: part.name,
        about: part.about,
        content: content.map(|Content { text, messages }| Content {
            text: without_secrets(&text),
            messages: without_secrets(&messages),
        }),
    }
}

/// Returns the output of `command` with its messages.
async fn output(command: &mut Command) -> Result<Content, String> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = match timeout(DEADLINE, running).await {
        Ok(ended) => ended.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no end after {} s", DEADLINE.as_secs())),
    };
    let text = last(&ended.stdout);
    let mut messages = last(&ended.stderr);
    if !ended.status.success() && text.is_empty() {
        return Err(format!("{}: {}", ended.status, messages.trim()));
    }
    if !messages.is_empty() {
        messages = format!("{}\n{messages}", ended.status);
    }
    Ok(Content { text, messages })
}

/// Returns the last bytes of `output` as text.
fn last(output: &[u8]) -> String {
    let from = output.len().saturating_sub(MAXIMUM);
    String::from_utf8_lossy(&output[from..]).into_owned()
}

/// Returns the last bytes of the file at `path` as text.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let maximum = MAXIMUM as u64;
    if length > maximum {
        file.seek(SeekFrom::End(-(MAXIMUM as i64)))?;
    }
    let mut bytes = Vec::new();
    file.take(maximum).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
