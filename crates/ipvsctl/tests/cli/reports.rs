//! Inputs from public bug reports and common files: folders of `tests/reports` with a
//! `transcript.txt`.
//!
//! A line `$ ARGUMENTS` of the transcript runs ipvsctl in a copy of the folder. Output, errors and
//! exit status follow. `BLESS=1` updates the transcripts.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use crate::folder::Folder;

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

/// Runs the commands of `transcript` and returns the new transcript.
fn rerun(folder: &Folder, transcript: &str) -> String {
    let mut text = String::new();
    for command in transcript
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
    {
        let ran = folder.run(command);
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
fn transcripts_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let reports = fs::read_dir(&root).expect("the reports");
    let (mut commands, mut wrong) = (0, Vec::new());
    for report in reports {
        let report = report.expect("an entry").path();
        let mut folder = Folder::new();
        let mut transcript = String::new();
        for (name, text) in files(&report) {
            match name.as_str() {
                TRANSCRIPT => transcript = text,
                _ => folder = folder.with(&name, &text),
            }
        }
        commands += transcript.matches("$ ").count();
        let now = rerun(&folder, &transcript);
        if env::var_os("BLESS").is_some() {
            fs::write(report.join(TRANSCRIPT), &now).expect("to write");
        } else if now != transcript {
            wrong.push(format!("{}:\n{now}", report.display()));
        }
    }
    assert!(commands >= 35, "{commands} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
