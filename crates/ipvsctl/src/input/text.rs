//! Reads text of bounded length.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

/// Reads the text at `path`; `-` is standard input.
///
/// # Errors
///
/// The text cannot be read, is not UTF-8, or has more than `most` bytes.
pub fn read_at_most(path: &Path, most: u64) -> io::Result<String> {
    let from: Box<dyn io::Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(fs::File::open(path)?),
    };
    let mut text = String::new();
    let length = from
        .take(most.saturating_add(1))
        .read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length <= most) {
        return Ok(text);
    }
    let problem = format!("it has more than {most} bytes");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, problem))
}
