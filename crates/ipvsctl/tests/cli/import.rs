//! `ipvsctl import` and `ipvsctl export`.
//!
//! Each configuration `tests/data/keepalived/NAME.conf` has the imported manifests in `NAME.yaml`,
//! the lines on standard error in `NAME.notes`, and the entries that the manifests make in
//! `NAME.ipvsadm`. `BLESS=1` updates these files.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::folder::Folder;

/// Folder of the configurations.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keepalived")
}

/// Returns a folder with the configurations.
pub(crate) fn configurations() -> Folder {
    let mut folder = Folder::new();
    for entry in fs::read_dir(data()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        if name.ends_with(".conf") || name.ends_with(".inc") {
            folder = folder.with(name, &fs::read_to_string(&path).expect("text"));
        }
    }
    folder
}

/// Compares `found` with a file of the data, or writes the file.
fn golden(name: &str, found: &str, wrong: &mut Vec<String>) {
    let path = data().join(name);
    if env::var_os("BLESS").is_some() {
        fs::write(&path, found).expect("to write");
    } else if fs::read_to_string(&path).expect("a golden file") != found {
        wrong.push(format!("{name}:\n{found}"));
    }
}

#[test]
fn configurations_of_keepalived_are_imported() {
    let folder = configurations();
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".conf")?.to_owned()))
        .collect();
    names.sort();
    assert_eq!(names.len(), 11);
    let mut wrong = Vec::new();
    for name in names {
        let ran = folder.run(&format!("import {name}.conf")).exits(0);
        golden(&format!("{name}.yaml"), &ran.out, &mut wrong);
        golden(&format!("{name}.notes"), &ran.err, &mut wrong);
        let imported = Folder::new().with("servers.yaml", &ran.out);
        let export = "export -f servers.yaml --node lb1";
        let lines = imported.run(export).exits(0);
        golden(&format!("{name}.ipvsadm"), &lines.out, &mut wrong);
        assert_eq!(lines.err, "", "{name}");

        // The export imports as the same manifests, except for addresses that VRRP adds, and for health
        // checks, which are no part of the table.
        let saved = Folder::new()
            .with("saved", &lines.out)
            .run("import saved")
            .exits(0);
        let servers = |text: &str| {
            let mut documents: Vec<String> = text.split("---\n").map(str::to_owned).collect();
            documents.sort();
            let documents = documents.concat();
            let mut in_check = false;
            let of_table = |line: &&str| {
                // A long check is folded.
                in_check =
                    line.starts_with("  healthCheck:") || in_check && line.starts_with("    ");
                !in_check && *line != "  bind: false"
            };
            documents
                .lines()
                .filter(of_table)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(servers(&saved.out), servers(&ran.out), "{name}");
        let strict = folder.run(&format!("import {name}.conf --strict"));
        let expected = i32::from(!ran.err.is_empty());
        assert_eq!(strict.status, expected, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
