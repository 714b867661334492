//! Links of Markdown pages must lead somewhere, and `docs/SUMMARY.md` must list every page of
//! `docs/`.
//!
//! Links to other hosts are not requested.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::error::Result;
use crate::markdown::Page;
use crate::project::Project;

/// Folder of the site's pages.
pub(crate) const DOCS: &str = "docs/";

/// The site's table of contents.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";

/// Returns the complaints about the pages.
pub(crate) fn complaints(project: &Project) -> Result<Vec<String>> {
    let names = project.files(&[])?.into_iter();
    // A deleted file that is still in the index does not exist.
    let names: BTreeSet<String> = names
        .filter(|name| project.root.join(name).exists())
        .collect();
    let mut texts = BTreeMap::new();
    for name in names.iter().filter(|name| name.ends_with(".md")) {
        if let Ok(text) = fs::read_to_string(project.root.join(name)) {
            texts.insert(name.clone(), text);
        }
    }
    Ok(check(&names, &texts))
}

/// Checks the pages `texts` of a project with the files `names`.
fn check(names: &BTreeSet<String>, texts: &BTreeMap<String, String>) -> Vec<String> {
    let pages: BTreeMap<&str, Page> = (texts.iter())
        .map(|(name, text)| (name.as_str(), Page::parse(text)))
        .collect();
    let mut all = Vec::new();
    for (name, page) in &pages {
        for link in &page.links {
            let mistake = mistake(names, &pages, name, &link.target);
            all.extend(mistake.map(|mistake| {
                let text = &texts[*name][..link.range.start];
                let line = text.matches('\n').count() + 1;
                format!("{name}:{line}: the link `{}` {mistake}", link.target)
            }));
        }
    }
    all.extend(unlisted(&pages));
    all
}

/// Returns the mistake in a link of the page `from`.
fn mistake(
    names: &BTreeSet<String>,
    pages: &BTreeMap<&str, Page>,
    from: &str,
    target: &str,
) -> Option<String> {
    if is_external(target) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = resolve(from, path) else {
        return Some("is not relative, or leaves the project".to_owned());
    };
    let folder = format!("{path}/");
    if !names.contains(&path) && !names.iter().any(|name| name.starts_with(&folder)) {
        return Some(format!("leads to {path}, which does not exist"));
    }
    let page = pages.get(path.as_str())?;
    let is_missing = !anchor.is_empty() && !page.anchors.contains(anchor);
    is_missing.then(|| format!("leads to a heading that {path} does not have"))
}

/// Returns the complaints about pages that the table of contents lacks or lists twice.
fn unlisted(pages: &BTreeMap<&str, Page>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = (pages.keys())
        .filter(|name| name.starts_with(DOCS) && **name != SUMMARY)
        .map(|name| (*name, 0))
        .collect();
    let links = pages.get(SUMMARY).into_iter().flat_map(|page| &page.links);
    for path in links.filter_map(|link| resolve(SUMMARY, &link.target)) {
        if let Some(count) = counts.get_mut(path.as_str()) {
            *count += 1;
        }
    }
    let wrong = counts.into_iter().filter(|(_, count)| *count != 1);
    wrong
        .map(|(name, count)| match count {
            0 => format!("{name} is missing in {SUMMARY}"),
            _ => format!("{name} is {count} times in {SUMMARY}"),
        })
        .collect()
}

/// Returns true for a link to another host or program.
pub(crate) fn is_external(target: &str) -> bool {
    let scheme = target.split(['/', '#', '?']).next().unwrap_or_default();
    scheme.contains(':') || target.starts_with("//")
}

/// Returns the path from the project's root that `target`, a link without fragment in the page
/// `from`, leads to. `None` if it leads out of the project.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
