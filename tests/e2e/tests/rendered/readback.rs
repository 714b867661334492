//! The tables read back from the kernel equal the rendered ones.

use e2e::{Context as _, Failure, Outcome, ensure};
use libtest_mimic::Trial;
use model::NodeTables;
use model::text;

use crate::site::Site;
use crate::with_site;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with_site("tables::virtual_servers_read_back_as_rendered", |site| {
            same(site, "ipvs", "ipvsadm -Sn", text::virtual_server_lines)
        }),
        with_site("tables::sets_read_back_as_rendered", |site| {
            same(site, "ipset", "ipset save", text::set_lines)
        }),
        with_site("tables::rules_read_back_as_rendered", |site| {
            same(site, "rules4", "iptables-legacy-save", all_rules)?;
            same(site, "rules6", "ip6tables-legacy-save", all_rules)
        }),
        with_site("tables::addresses_read_back_as_rendered", addresses),
        with_site("tables::settings_read_back_as_rendered", settings),
    ]
}

fn all_rules(tables: &NodeTables) -> Vec<String> {
    tables.rules.values().flat_map(text::rule_lines).collect()
}

/// Compares a section with the output of a tool. Our own parser reads both.
fn same(site: &Site, heading: &str, tool: &str, lines: fn(&NodeTables) -> Vec<String>) -> Outcome {
    let parse = |section: &str| {
        let text = format!("# {heading}\n{section}");
        text::parse(&text)
            .map(|tables| lines(&tables))
            .context(|| tool.to_owned())
    };
    let rendered = parse(&site.section(heading))?;
    equal(&parse(&site.world.tool(tool)?)?, &rendered)
}

fn addresses(site: &Site) -> Outcome {
    let kept = site
        .world
        .tables()?
        .addresses
        .into_iter()
        .collect::<Vec<_>>();
    let rendered = site.section("addresses");
    equal(
        &kept,
        &rendered.lines().map(str::to_owned).collect::<Vec<_>>(),
    )
}

fn settings(site: &Site) -> Outcome {
    let rendered: Vec<String> = site.section("sysctl").lines().map(str::to_owned).collect();
    let read = |line: &String| {
        let (name, _) = line.split_once(" = ").unwrap_or((line, ""));
        let value = site.world.tool(&format!("sysctl -n {name}"))?;
        Ok(format!("{name} = {}", value.trim()))
    };
    let kept = rendered.iter().map(read).collect::<Outcome<Vec<_>>>()?;
    equal(&kept, &rendered)
}

fn equal(kept: &[String], rendered: &[String]) -> Outcome {
    ensure(!rendered.is_empty(), || "the rendered section is empty")?;
    let missing = rendered.iter().filter(|line| !kept.contains(line));
    let excess = kept.iter().filter(|line| !rendered.contains(line));
    let text: Vec<String> = missing
        .map(|line| format!("missing: {line}"))
        .chain(excess.map(|line| format!("unexpected: {line}")))
        .collect();
    if text.is_empty() && kept != rendered {
        return Err(Failure::new(format!("the order differs: {kept:#?}")));
    }
    ensure(text.is_empty(), || text.join("\n"))
}
