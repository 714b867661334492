use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::super::testing::{sample, traffic};
use super::super::traffic::NodeTraffic;
use super::*;

fn header() -> Header {
    Header {
        node: "node1".into(),
        time: "2026-01-02T03:04:05Z".into(),
        daemon: "kube-ipvsd 0.1.0: 0 entries failing".into(),
        problem: None,
    }
}

fn view() -> View {
    let (before, now) = (
        sample(0, &[(1, 0), (2, 0), (9, 0)]),
        sample(2, &[(1, 10), (2, 20_000), (9, 1)]),
    );
    let mut view = View::new(Sort::default());
    view.show(traffic(Some(&before), &now));
    view
}

fn press(view: &mut View, code: KeyCode) {
    view.press(KeyEvent::from(code));
}

/// Returns the lines of the screen without blanks at their ends.
fn screen(view: &mut View, header: &Header, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    view.resize(rows_on(Rect::new(0, 0, width, height)));
    let drawn = terminal.draw(|frame| draw(frame, view, header));
    drawn.expect("the screen is drawn");
    let buffer = terminal.backend().buffer();
    let cells: Vec<&str> = buffer.content().iter().map(Cell::symbol).collect();
    let lines = cells.chunks(usize::from(width)).map(<[&str]>::concat);
    lines.map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn all_services() {
    let lines = screen(&mut view(), &header(), 100, 10);
    let expected = "\
ipvsctl top - node1 - 2026-01-02T03:04:05Z
Services: 2, virtual servers: 3, endpoints: 6 (3 draining), active connections: 72
10k connections/s, 180k packets/s, 9.8MiB/s in, 39MiB/s out
kube-ipvsd 0.1.0: 0 entries failing
SERVICE                  ENDPOINTS  DRAINING  *CONN/s    ACTIVE  INACTIVE    PKT/s   IN B/s  OUT B/s
shop/web2                        2         1      10k        12         2     180k    9.8Mi     39Mi
shop/web1                        2         1        5         6         2       90      5Ki     20Ki
10.96.0.9:80/TCP                 2         1      0.5        54         2        9      512      2Ki

1/3  q quit  ? help  / filter  Enter open  Space pause  sort: c a i p b n";
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
}

#[test]
fn an_open_service() {
    let mut view = view();
    press(&mut view, KeyCode::Enter);
    let lines = screen(&mut view, &header(), 100, 10);
    let expected = "\
shop/web2                ENDPOINTS  DRAINING  *CONN/s    ACTIVE  INACTIVE    PKT/s   IN B/s  OUT B/s
10.96.0.2:80/TCP (http)          2         1      10k        12         2     180k    9.8Mi     39Mi
  10.244.0.1:8080         weight 1         0       5k         6         1      90k    4.9Mi     20Mi
  10.244.0.2:8080         weight 0         1       5k         6         1      90k    4.9Mi     20Mi

1/3  q quit  ? help  / filter  Esc back  Space pause  sort: c a i p b n";
    assert_eq!(lines[4..], expected.lines().collect::<Vec<_>>());
}

#[test]
fn one_sample_pause_filter_and_a_problem() {
    let mut view = View::new(Sort::Name);
    view.show(traffic(None, &sample(0, &[(1, 5)])));
    for code in [' ', '/', 'w'] {
        press(&mut view, KeyCode::Char(code));
    }
    let header = Header {
        problem: Some("not permitted".into()),
        ..header()
    };
    let lines = screen(&mut view, &header, 110, 8);
    let expected = "\
ipvsctl top - node1 - 2026-01-02T03:04:05Z - PAUSED
Services: 1, virtual servers: 1, endpoints: 2 (1 draining), active connections: 6
measuring rates
error: not permitted
SERVICE*                        ENDPOINTS  DRAINING   CONN/s    ACTIVE  INACTIVE    PKT/s   IN B/s  OUT B/s
shop/web1                                  2         1        -         6         2        -        -        -

filter: w_";
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(lines[..4], expected[..4]);
    assert_eq!(lines[5..], expected[5..]);
}

#[test]
fn help_lists_the_keys() {
    let mut view = view();
    press(&mut view, KeyCode::Char('?'));
    let lines = screen(&mut view, &header(), 80, 24);
    for (key, _) in Sort::ALL {
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&format!(" {key}  sort"))),
            "{key}"
        );
    }
    assert!(lines.iter().any(|line| line.contains("Press any key.")));
}

#[test]
fn any_size_is_drawn() {
    for (width, height) in [(1, 1), (2, 3), (20, 4), (40, 5), (300, 100)] {
        let mut view = view();
        screen(&mut view, &header(), width, height);
        press(&mut view, KeyCode::Char('?'));
        screen(&mut view, &header(), width, height);
        press(&mut view, KeyCode::Enter);
        press(&mut view, KeyCode::Enter);
        screen(&mut view, &header(), width, height);
    }
}

#[test]
fn names_of_tenants_do_not_reach_the_terminal_unescaped() {
    let mut view = View::new(Sort::Name);
    let mut node: NodeTraffic = traffic(None, &sample(0, &[(1, 5)]));
    node.services[0].name = model::escaped("shop/\u{1b}[2Jweb");
    view.show(node);
    let lines = screen(&mut view, &header(), 110, 8);
    assert!(lines[5].starts_with("shop/\\u{1b}[2Jweb"), "{}", lines[5]);
}

/// Only visible rows are formatted: with 10,000 Services a key and the drawing after it take a
/// fraction of the 50 ms between two looks at the keyboard.
#[test]
fn ten_thousand_services_scroll() {
    let one = traffic(None, &sample(0, &[(1, 5)]));
    let services = (0..10_000).map(|number| ServiceTraffic {
        name: format!("shop/web{number:05}"),
        ..one.services[0].clone()
    });
    let mut view = View::new(Sort::Name);
    view.show(NodeTraffic {
        services: services.collect(),
        ..one.clone()
    });
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a terminal");
    view.resize(35);
    let header = header();
    let begin = Instant::now();
    for _ in 0..100 {
        press(&mut view, KeyCode::PageDown);
        let drawn = terminal.draw(|frame| draw(frame, &view, &header));
        drawn.expect("the screen is drawn");
    }
    let each = begin.elapsed() / 100;
    assert_eq!(view.selected, 3500);
    assert!(each < Duration::from_millis(50), "{each:?}");
}
