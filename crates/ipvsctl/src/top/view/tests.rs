use super::super::testing::{sample, traffic};
use super::*;

/// A view of three Services of which `shop/web3` has the most traffic, with room for two rows.
fn view() -> View {
    let (before, now) = (
        sample(0, &[(1, 0), (2, 0), (3, 0)]),
        sample(2, &[(1, 10), (2, 20), (3, 30)]),
    );
    let mut view = View::new(Sort::default());
    view.resize(2);
    view.show(traffic(Some(&before), &now));
    view
}

/// Presses keys: letters, and `<` for Esc, `>` for Enter, `_` for Down, `^` for Up, `$` for End, `#`
/// for Backspace.
fn press(view: &mut View, keys: &str) -> Reaction {
    let mut reaction = Reaction::Draw;
    for key in keys.chars() {
        let code = match key {
            '<' => KeyCode::Esc,
            '>' => KeyCode::Enter,
            '_' => KeyCode::Down,
            '^' => KeyCode::Up,
            '$' => KeyCode::End,
            '#' => KeyCode::Backspace,
            letter => KeyCode::Char(letter),
        };
        reaction = view.press(KeyEvent::from(code));
    }
    reaction
}

/// Returns the names of the visible rows; the selected one in brackets.
fn visible(view: &View) -> Vec<String> {
    let name = |row| match row {
        Row::Service(index) => view.traffic.services[index].name.clone(),
        Row::Server(index) => format!("server {index}"),
        Row::Endpoint(server, index) => format!("endpoint {server}.{index}"),
    };
    let rows = view.visible();
    rows.map(|(index, row)| match index == view.selected {
        true => format!("[{}]", name(row)),
        false => name(row),
    })
    .collect()
}

#[track_caller]
fn check(keys: &str, expected: [&str; 2]) {
    let mut view = view();
    press(&mut view, keys);
    assert_eq!(visible(&view), expected, "{keys}");
}

#[test]
fn the_busiest_services_come_first() {
    check("", ["[shop/web3]", "shop/web2"]);
    check("n", ["[shop/web1]", "shop/web2"]);
    for key in ["c", "a", "p", "b"] {
        check(key, ["[shop/web3]", "shop/web2"]);
    }
    // Equal ones are in the order of their names.
    check("i", ["[shop/web1]", "shop/web2"]);
}

#[test]
fn the_selection_stays_on_the_screen() {
    check("_", ["shop/web3", "[shop/web2]"]);
    check("__", ["shop/web2", "[shop/web1]"]);
    check("____", ["shop/web2", "[shop/web1]"]);
    check("__^", ["[shop/web2]", "shop/web1"]);
    check("__^^^", ["[shop/web3]", "shop/web2"]);
    check("$", ["shop/web2", "[shop/web1]"]);
    check("Gg", ["[shop/web3]", "shop/web2"]);
}

#[test]
fn enter_opens_a_service_and_escape_returns_to_it() {
    check("_>", ["[server 0]", "endpoint 0.0"]);
    check("_>__", ["endpoint 0.0", "[endpoint 0.1]"]);
    check("_>__<", ["[shop/web2]", "shop/web1"]);
    let mut view = view();
    press(&mut view, "_>");
    assert_eq!(view.open.as_deref(), Some("shop/web2"));
}

#[test]
fn a_filter_selects_by_name_while_it_is_typed() {
    let mut view = view();
    press(&mut view, "/b1");
    assert_eq!(visible(&view), ["[shop/web1]"]);
    press(&mut view, "#");
    assert_eq!(visible(&view), ["[shop/web3]", "shop/web2"]);
    press(&mut view, "2>");
    assert_eq!(visible(&view), ["[shop/web2]"]);
    assert!(!view.is_typing);
    press(&mut view, "<");
    assert_eq!(visible(&view).len(), 2);
    press(&mut view, "/q<");
    assert_eq!((view.filter.as_str(), visible(&view).len()), ("", 2));
}

#[test]
fn a_filter_is_bounded() {
    let mut view = view();
    press(&mut view, &format!("/{}", "x".repeat(1000)));
    assert_eq!(view.filter.len(), MAX_FILTER);
    assert_eq!(visible(&view), Vec::<String>::new());
    press(&mut view, "__>");
}

#[test]
fn a_pause_holds_samples_back() {
    let mut view = view();
    press(&mut view, " ");
    view.show(traffic(None, &sample(4, &[(5, 1)])));
    assert_eq!(visible(&view), ["[shop/web3]", "shop/web2"]);
    press(&mut view, " ");
    assert_eq!(visible(&view), ["[shop/web5]"]);
}

#[test]
fn the_selection_follows_its_service() {
    let mut view = view();
    press(&mut view, "_");
    let (before, now) = (
        sample(2, &[(1, 0), (2, 0), (3, 0)]),
        sample(4, &[(1, 10), (2, 200), (3, 30)]),
    );
    view.show(traffic(Some(&before), &now));
    assert_eq!(visible(&view), ["[shop/web2]", "shop/web3"]);
}

#[test]
fn an_open_service_that_goes_away_leaves_an_empty_screen() {
    let mut view = view();
    press(&mut view, ">_");
    view.show(traffic(None, &sample(4, &[(1, 0)])));
    assert_eq!(visible(&view), Vec::<String>::new());
    assert!(view.open_service().is_none());
    press(&mut view, "<");
    assert_eq!(visible(&view), ["[shop/web1]"]);
}

#[test]
fn keys_that_quit() {
    for keys in ["q", "?q"] {
        assert_eq!(press(&mut view(), keys), Reaction::Quit, "{keys}");
    }
    for keys in ["?x", "/q", "x", "<"] {
        assert_eq!(press(&mut view(), keys), Reaction::Draw, "{keys}");
    }
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let mut view = view();
    press(&mut view, "/");
    assert_eq!(view.press(control_c), Reaction::Quit);
}

#[test]
fn a_screen_without_rows_does_nothing() {
    let mut view = View::new(Sort::Name);
    press(&mut view, "_^$>< /x>");
    view.resize(0);
    view.show(traffic(None, &sample(0, &[(1, 0), (2, 0)])));
    press(&mut view, "<__^$>");
    assert_eq!(visible(&view).len(), 0);
}
