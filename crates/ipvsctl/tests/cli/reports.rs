//! Inputs of public bug reports, and files as people have them: folders of `tests/reports`, each with a `transcript.txt`.
//!
//! A line `$ ARGUMENTS` runs ipvsctl in a copy of the folder. Its output, its errors and its exit status follow. `BLESS=1` writes
//! what they are now.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use crate::desk::Desk;

const TRANSCRIPT: &str = "transcript.txt";

/// Returns the files in `folder` by name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name");
            (name, fs::read_to_string(entry.path()).expect("text"))
        })
        .collect();
    files.sort();
    files
}

/// Runs the commands of `transcript` again.
fn rerun(desk: &Desk, transcript: &str) -> String {
    let mut text = String::new();
    for command in transcript
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
    {
        let ran = desk.run(command);
        let _ = writeln!(text, "$ {command}");
        text.push_str(&ran.out);
        for line in ran.err.lines() {
            let _ = writeln!(text, "! {line}");
        }
        let _ = writeln!(text, "= {}\n", ran.status);
    }
    text
}

#[test]
fn inputs_of_reports_have_their_results() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let folders = fs::read_dir(&root).expect("the reports");
    let (mut commands, mut wrong) = (0, Vec::new());
    for folder in folders {
        let folder = folder.expect("an entry").path();
        let mut desk = Desk::new();
        let mut transcript = String::new();
        for (name, text) in files(&folder) {
            match name.as_str() {
                TRANSCRIPT => transcript = text,
                _ => desk = desk.with(&name, &text),
            }
        }
        commands += transcript.matches("$ ").count();
        let now = rerun(&desk, &transcript);
        if env::var_os("BLESS").is_some() {
            fs::write(folder.join(TRANSCRIPT), &now).expect("to write");
        } else if now != transcript {
            wrong.push(format!("{}:\n{now}", folder.display()));
        }
    }
    assert!(commands >= 35, "{commands} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
