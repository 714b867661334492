//! The corpus: one directory for each target, one file for each input.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

/// Reads the inputs of a target in the order of their names. A file `*.hex` has bytes in
/// hexadecimal, with white space and comments (`#` to the end of the line) between them; any other
/// file is the input itself.
///
/// # Errors
///
/// A file cannot be read or is not hexadecimal, or there are no files.
pub fn read(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut paths = (fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    let wrong = |path: &Path, what| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {what}", path.display()),
        )
    };
    if paths.is_empty() {
        return Err(wrong(&folder, "no inputs"));
    }
    let read = |path: &PathBuf| {
        let bytes = fs::read(path)?;
        match path.extension() {
            Some(end) if end == "hex" => from_hex(&String::from_utf8_lossy(&bytes))
                .ok_or_else(|| wrong(path, "not hexadecimal")),
            _ => Ok(bytes),
        }
    };
    paths.iter().map(read).collect()
}

/// Parses bytes in hexadecimal. Returns `None` for invalid text.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let digits = (lines.flat_map(str::chars).filter(|c| !c.is_whitespace()))
        .map(|c| c.to_digit(16))
        .collect::<Option<Vec<u32>>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

/// Prints bytes in hexadecimal.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
