//! Links and anchors of Markdown pages, as GitHub reads them.

#[cfg(test)]
mod tests;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Attributes of HTML in a page that link, and those that name a place.
const LINKS: [&str; 2] = ["href=\"", "src=\""];
const NAMES: [&str; 2] = ["id=\"", "name=\""];

/// The links and the anchors of a page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Links in the order of the page. A reference is listed where it is defined.
    pub(crate) links: Vec<Link>,
    /// Anchors of headings and of HTML.
    pub(crate) anchors: BTreeSet<String>,
}

/// A link or an image.
#[derive(Debug)]
pub(crate) struct Link {
    /// Address or path, with its fragment.
    pub(crate) target: String,
    /// Bytes of the page that contain the target.
    pub(crate) range: Range<usize>,
}

impl Page {
    /// Reads a page.
    pub(crate) fn parse(text: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
        let parser = Parser::new_ext(text, options);
        let mut page = Page::default();
        for (_, definition) in parser.reference_definitions().iter() {
            page.link(&definition.dest, definition.span.clone());
        }
        let mut heading: Option<String> = None;
        let mut slugs = BTreeMap::new();
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let text = heading.take().unwrap_or_default();
                    page.anchors.insert(unique(slug(&text), &mut slugs));
                }
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                Event::Start(
                    Tag::Link {
                        link_type,
                        dest_url,
                        ..
                    }
                    | Tag::Image {
                        link_type,
                        dest_url,
                        ..
                    },
                ) if link_type == LinkType::Inline => page.link(&dest_url, range),
                Event::Html(html) | Event::InlineHtml(html) => page.html(&html, &range),
                _ => {}
            }
        }
        page.links.sort_by_key(|link| link.range.start);
        page
    }

    fn link(&mut self, target: &str, range: Range<usize>) {
        let target = target.to_owned();
        self.links.push(Link { target, range });
    }

    fn html(&mut self, html: &str, range: &Range<usize>) {
        for target in LINKS.iter().flat_map(|key| values(html, key)) {
            self.link(target, range.clone());
        }
        let names = NAMES.iter().flat_map(|key| values(html, key));
        self.anchors.extend(names.map(str::to_owned));
    }
}

/// Returns the page with each link's target replaced, where `replace` returns a new one.
pub(crate) fn replace_links(text: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut places: Vec<(Range<usize>, String)> = (Page::parse(text).links.iter())
        .filter_map(|link| {
            let new = replace(&link.target)?;
            // The last one, because the text of a link may be its target.
            let start = link.range.start + text[link.range.clone()].rfind(&link.target)?;
            Some((start..start + link.target.len(), new))
        })
        .collect();
    // From the end, so that the earlier ranges stay valid.
    places.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut replaced = text.to_owned();
    for (range, new) in places {
        replaced.replace_range(range, &new);
    }
    replaced
}

/// Returns the anchor of a heading: lower case, spaces as hyphens, without punctuation.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter_map(|at| match at {
        ' ' => Some('-'),
        '-' | '_' => Some(at),
        _ => at.is_alphanumeric().then_some(at),
    });
    kept.collect()
}

/// Returns the anchor with a number if earlier headings of the page have the same one.
fn unique(slug: String, seen: &mut BTreeMap<String, usize>) -> String {
    let count = seen.entry(slug.clone()).or_insert(0);
    let anchor = match *count {
        0 => slug,
        number => format!("{slug}-{number}"),
    };
    *count += 1;
    anchor
}

/// Returns the values that follow `key`, such as `href="`.
fn values<'a>(html: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let parts = html.split(key).skip(1);
    parts.filter_map(|part| part.split_once('"').map(|(value, _)| value))
}
