//! Draws the screen. Only visible rows are formatted.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::numbers::{bytes, rate};
use super::traffic::{ServiceTraffic, Traffic};
use super::view::{Row, Sort, View};

/// Titles of the columns of numbers, with their widths and orders.
const COLUMNS: [(&str, usize, Option<Sort>); 8] = [
    ("ENDPOINTS", 9, None),
    ("DRAINING", 8, None),
    ("CONN/s", 7, Some(Sort::ConnectionRate)),
    ("ACTIVE", 8, Some(Sort::Active)),
    ("INACTIVE", 8, Some(Sort::Inactive)),
    ("PKT/s", 7, Some(Sort::PacketRate)),
    ("IN B/s", 7, Some(Sort::ByteRate)),
    ("OUT B/s", 7, Some(Sort::ByteRate)),
];

/// Number of blanks between columns.
const GAP: usize = 2;

/// Least width of the column of names.
const LEAST_NAME: usize = 16;

const HELP: &str = " c  sort by connections/s      Up, Down, PageUp, PageDown, Home, End
 a  sort by active                 move the selection
 i  sort by inactive           Enter   show virtual servers and
 p  sort by packets/s                  endpoints of a Service
 b  sort by bytes/s            Esc     back; clear the filter
 n  sort by name               /       filter by name
 Space  pause                  q       quit

 The kernel updates its counters every 2 s.
 Press any key.";

/// Content of the header besides the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Name of the node.
    pub node: String,
    /// Time of the sample; empty before the first.
    pub time: String,
    /// State of kube-ipvsd, or why it is unknown.
    pub daemon: String,
    /// Problem of the last reading; its traffic is the last one that could be read.
    pub problem: Option<String>,
}

/// Draws `view` on the whole of `frame`.
pub fn draw(frame: &mut Frame<'_>, view: &View, header: &Header) {
    let [top, titles, rows, bottom] = areas(frame.area());
    frame.render_widget(Paragraph::new(head(view, header)), top);
    let width = usize::from(titles.width);
    frame.render_widget(Line::styled(heading(view, width), bold()), titles);
    let lines: Vec<Line<'_>> = view
        .visible()
        .map(|(index, row)| line(view, row, index == view.selected, width))
        .collect();
    if lines.is_empty() {
        frame.render_widget(Line::raw(nothing(view, header)), rows);
    } else {
        frame.render_widget(Paragraph::new(lines), rows);
    }
    frame.render_widget(Line::styled(footer(view), dim()), bottom);
    if view.is_help {
        help(frame);
    }
}

/// Returns the number of rows that fit on a screen of this size.
#[must_use]
pub fn rows_on(screen: Rect) -> usize {
    usize::from(areas(screen)[2].height)
}

fn areas(screen: Rect) -> [Rect; 4] {
    Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(screen)
}

fn head(view: &View, header: &Header) -> Vec<Line<'static>> {
    let total = &view.traffic.total;
    let Header {
        node,
        time,
        daemon,
        problem,
    } = header;
    let first = format!(
        "ipvsctl top - {node} - {time}{}",
        if view.is_paused { " - PAUSED" } else { "" }
    );
    let rates = if view.traffic.has_rates {
        format!(
            "{} connections/s, {} packets/s, {}B/s in, {}B/s out",
            rate(total.connection_rate),
            rate(total.packet_rate()),
            bytes(total.byte_rate_in),
            bytes(total.byte_rate_out)
        )
    } else {
        "measuring rates".to_owned()
    };
    let services = view.traffic.services.iter();
    let counts = format!(
        "Services: {}, virtual servers: {}, endpoints: {} ({} draining), active connections: {}",
        services.filter(|service| service.is_service).count(),
        view.traffic.virtual_servers,
        total.endpoints,
        total.draining,
        total.active,
    );
    let last = match problem {
        Some(problem) => Line::styled(format!("error: {problem}"), bold()),
        None => Line::raw(daemon.clone()),
    };
    vec![
        Line::styled(first, bold()),
        Line::raw(counts),
        Line::raw(rates),
        last,
    ]
}

fn heading(view: &View, width: usize) -> String {
    let name = match &view.open {
        None => format!("SERVICE{}", mark(view.sort == Sort::Name)),
        Some(name) => name.clone(),
    };
    let titles = COLUMNS.map(|(title, _, sort)| {
        format!(
            "{}{title}",
            mark(sort.is_some_and(|sort| sort == view.sort))
        )
    });
    columns(&name, &titles, width)
}

fn mark(is_sorted: bool) -> &'static str {
    if is_sorted { "*" } else { "" }
}

fn line(view: &View, row: Row, is_selected: bool, width: usize) -> Line<'static> {
    let text = text(view, row, width).unwrap_or_default();
    let style = match (is_selected, row) {
        (true, _) => Style::new().add_modifier(Modifier::REVERSED),
        (false, Row::Server(_)) => bold(),
        (false, _) => Style::new(),
    };
    Line::from(Span::styled(text, style))
}

fn text(view: &View, row: Row, width: usize) -> Option<String> {
    let has_rates = view.traffic.has_rates;
    Some(match row {
        Row::Service(index) => {
            let ServiceTraffic { name, traffic, .. } = view.traffic.services.get(index)?;
            columns(name, &numbers(traffic, has_rates), width)
        }
        Row::Server(index) => {
            let server = view.open_service()?.servers.get(index)?;
            let name = match server.port.as_str() {
                "" => server.key.to_string(),
                port => format!("{} ({port})", server.key),
            };
            columns(&name, &numbers(&server.traffic, has_rates), width)
        }
        Row::Endpoint(server, index) => {
            let server = view.open_service()?.servers.get(server)?;
            let endpoint = server.real_servers.get(index)?;
            let mut numbers = numbers(&endpoint.traffic, has_rates);
            numbers[0] = format!("weight {}", endpoint.weight);
            columns(&format!("  {}", endpoint.key), &numbers, width)
        }
    })
}

fn numbers(traffic: &Traffic, has_rates: bool) -> [String; 8] {
    let known = |text: String| if has_rates { text } else { "-".to_owned() };
    [
        traffic.endpoints.to_string(),
        traffic.draining.to_string(),
        known(rate(traffic.connection_rate)),
        traffic.active.to_string(),
        traffic.inactive.to_string(),
        known(rate(traffic.packet_rate())),
        known(bytes(traffic.byte_rate_in)),
        known(bytes(traffic.byte_rate_out)),
    ]
}

/// Returns a line with a name and right-aligned numbers. A name that is too long is cut.
fn columns(name: &str, numbers: &[String; 8], width: usize) -> String {
    let taken: usize = COLUMNS.iter().map(|(_, width, _)| width + GAP).sum();
    let left = width.saturating_sub(taken).max(LEAST_NAME);
    let mut text = if name.chars().count() > left {
        let cut: String = name.chars().take(left - 1).collect();
        format!("{cut}…")
    } else {
        format!("{name:left$}")
    };
    for (number, (_, width, _)) in numbers.iter().zip(COLUMNS) {
        text.push_str(&format!("{number:>0$}", width + GAP));
    }
    text
}

fn nothing(view: &View, header: &Header) -> &'static str {
    match &view.open {
        None if header.time.is_empty() => "Reading the tables.",
        Some(_) => "The Service has no virtual servers any more. Press Esc.",
        None if view.traffic.virtual_servers == 0 => "No virtual servers.",
        None => "The filter matches no Service. Press Esc.",
    }
}

fn footer(view: &View) -> String {
    if view.is_typing {
        return format!("filter: {}_", view.filter);
    }
    let filter = match view.filter.as_str() {
        "" => String::new(),
        filter => format!("filter \"{filter}\"  "),
    };
    let back = if view.open.is_some() {
        "Esc back"
    } else {
        "Enter open"
    };
    let place = format!(
        "{}/{}",
        (view.selected + 1).min(view.rows.len()),
        view.rows.len()
    );
    format!("{place}  {filter}q quit  ? help  / filter  {back}  Space pause  sort: c a i p b n")
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let size = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let width = HELP.lines().map(str::len).max().map_or(0, size);
    let height = size(HELP.lines().count());
    let place = area.centered(Constraint::Length(width + 2), Constraint::Length(height));
    frame.render_widget(Clear, place);
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(HELP).style(style), place);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}
