//! `cargo xtask site`: builds the documentation as a website, with mdBook.
//!
//! The pages are those of `docs/`, as GitHub shows them. Links that leave `docs/` lead to the
//! repository, because the site has no other files.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};
use crate::files;
use crate::markdown::{self, Page};
use crate::project::{self, Project};
use crate::say::say;
use crate::tidy::pages::{self, DOCS, SUMMARY};

/// The version of mdBook that is built if no program of its series is installed.
const VERSION: &str = "0.5.4";

/// Series of mdBook that reads `docs/book.toml`, as `mdbook --version` prints it.
const SERIES: &str = "mdbook v0.5.";

/// Where the repository shows a file, and a folder.
const FILE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");
const FOLDER: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/main/");

/// Builds the site in `target/site`. The exit status is 1 if a link leads nowhere.
pub(crate) fn command(project: &Project) -> Result<u8> {
    let mut found = pages::complaints(project)?;
    if found.is_empty() {
        let mdbook = mdbook(project)?;
        let source = project.target.join("site-source");
        let output = project.target.join("site");
        let pages = copy_pages(project, &source)?;
        files::remove(&output)?;
        build(&mdbook, &source, &output)?;
        found = missing_anchors(&source, &output, &pages)?;
        say(format_args!("{}", output.join("index.html").display()));
    }
    for complaint in &found {
        println!("{complaint}");
    }
    Ok(u8::from(!found.is_empty()))
}

/// Returns the program: an installed one, or one that is built in the target directory.
fn mdbook(project: &Project) -> Result<PathBuf> {
    let tools = project.target.join("tools");
    let own = tools.join("bin/mdbook");
    if let Some(program) = [PathBuf::from("mdbook"), own.clone()]
        .into_iter()
        .find(|program| is_usable(program))
    {
        return Ok(program);
    }
    say(format_args!("building mdbook {VERSION}"));
    let mut install = project::cargo();
    install
        .args(["install", "mdbook", "--version", VERSION, "--locked"])
        .args(["--no-default-features", "--features", "search"])
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(tools.join("build"));
    project::build(&mut install, "mdbook")?;
    Ok(own)
}

fn is_usable(program: &Path) -> bool {
    let mut command = Command::new(program);
    let output = command.arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.starts_with(SERIES.as_bytes()))
}

/// Copies `docs/` with the site's links. Returns the names of the pages in it.
fn copy_pages(project: &Project, to: &Path) -> Result<BTreeSet<String>> {
    files::remove(to)?;
    let names: BTreeSet<String> = project.files(&[])?.into_iter().collect();
    let mut pages = BTreeSet::new();
    for name in &names {
        let from = project.root.join(name);
        let Some(short) = name.strip_prefix(DOCS).filter(|_| from.is_file()) else {
            continue;
        };
        let to = to.join(short);
        if !name.ends_with(".md") || name == SUMMARY {
            files::copy(&from, &to)?;
            continue;
        }
        let text = files::read(&from)?;
        let text = markdown::replace_links(&text, |target| site_link(&names, name, target));
        files::write(&to, text)?;
        pages.insert(short.to_owned());
    }
    Ok(pages)
}

/// Returns the site's link for the link `target` of a page, if it is another one.
fn site_link(names: &BTreeSet<String>, page: &str, target: &str) -> Option<String> {
    if pages::is_external(target) || target.starts_with('#') {
        return None;
    }
    let path = target.split_once('#').map_or(target, |(path, _)| path);
    let fragment = &target[path.len()..];
    let resolved = pages::resolve(page, path)?;
    if !names.contains(&resolved) {
        return Some(format!("{FOLDER}{resolved}"));
    }
    if !resolved.starts_with(DOCS) || resolved == SUMMARY {
        return Some(format!("{FILE}{resolved}{fragment}"));
    }
    // mdBook makes README.md the index of its folder.
    let folder = path.strip_suffix("README.md")?;
    Some(format!("{folder}index.md{fragment}"))
}

fn build(mdbook: &Path, source: &Path, output: &Path) -> Result {
    let mut command = Command::new(mdbook);
    command
        .arg("build")
        .arg(source)
        .arg("--dest-dir")
        .arg(output);
    let status = (command.stdin(Stdio::null()).status()).context(|| "starting mdbook")?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new("mdbook cannot build the site")),
    }
}

/// Returns the links between pages whose place the built site does not have.
fn missing_anchors(source: &Path, output: &Path, pages: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for page in pages {
        let text = files::read(&source.join(page))?;
        for link in Page::parse(&text).links {
            let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let is_page = path.is_empty() || path.ends_with(".md");
            if pages::is_external(&link.target) || !is_page {
                continue;
            }
            let target = pages::resolve(page, path).unwrap_or_default();
            let html = html_of(&target);
            let built = fs::read_to_string(output.join(&html)).unwrap_or_default();
            let is_there = match anchor {
                "" => !built.is_empty(),
                anchor => built.contains(&format!("id=\"{anchor}\"")),
            };
            if !is_there {
                let target = &link.target;
                all.push(format!("{page}: the site's {html} lacks `{target}`"));
            }
        }
    }
    Ok(all)
}

/// Returns the path of a page's HTML in the site.
fn html_of(page: &str) -> String {
    let stem = page.strip_suffix(".md").unwrap_or(page);
    match stem.strip_suffix("README") {
        Some(folder) => format!("{folder}index.html"),
        None => format!("{stem}.html"),
    }
}
