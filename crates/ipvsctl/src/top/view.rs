//! State of the screen: what is shown, in which order, and the effect of a key. It does no IO.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::traffic::{NodeTraffic, ServiceTraffic, Traffic};

/// Maximum length of a filter in characters.
const MAX_FILTER: usize = 64;

/// Order of the rows. Numbers are in descending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// New connections each second.
    #[default]
    ConnectionRate,
    /// Active connections.
    Active,
    /// Inactive connections.
    Inactive,
    /// Packets each second, both directions.
    PacketRate,
    /// Bytes each second, both directions.
    ByteRate,
    /// Name, or key of the virtual server.
    Name,
}

impl Sort {
    /// Every order, with the key that selects it.
    pub const ALL: [(char, Self); 6] = [
        ('c', Self::ConnectionRate),
        ('a', Self::Active),
        ('i', Self::Inactive),
        ('p', Self::PacketRate),
        ('b', Self::ByteRate),
        ('n', Self::Name),
    ];

    /// Returns the order of two rows; of equal ones, `Equal`.
    #[must_use]
    pub fn compare(self, left: &Traffic, right: &Traffic) -> Ordering {
        match self {
            Self::ConnectionRate => right.connection_rate.total_cmp(&left.connection_rate),
            Self::Active => right.active.cmp(&left.active),
            Self::Inactive => right.inactive.cmp(&left.inactive),
            Self::PacketRate => right.packet_rate().total_cmp(&left.packet_rate()),
            Self::ByteRate => right.byte_rate().total_cmp(&left.byte_rate()),
            Self::Name => Ordering::Equal,
        }
    }

    /// Sorts services. Services of equal traffic keep the order of their names.
    pub fn services(self, services: &mut [&ServiceTraffic]) {
        services.sort_by(|left, right| self.compare(&left.traffic, &right.traffic));
    }
}

/// A row of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The Service with this index.
    Service(usize),
    /// The virtual server with this index, of the open Service.
    Server(usize),
    /// The real server with the second index, of the virtual server with the first.
    Endpoint(usize, usize),
}

/// Result of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The screen may have changed.
    Draw,
    /// The operator wants to end the program.
    Quit,
}

/// State of the screen.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The shown traffic.
    pub traffic: NodeTraffic,
    /// The newest traffic while the screen is paused.
    waiting: Option<NodeTraffic>,
    /// Rows in the order of the screen.
    pub rows: Vec<Row>,
    /// Order of the rows.
    pub sort: Sort,
    /// Text that the names of shown Services contain.
    pub filter: String,
    /// True while the operator types the filter.
    pub is_typing: bool,
    /// Name of the open Service; `None` if all Services are shown.
    pub open: Option<String>,
    /// Index of the selected row.
    pub selected: usize,
    /// Index of the first row on the screen.
    pub first: usize,
    /// Number of rows that fit on the screen.
    height: usize,
    /// True if new samples are not shown.
    pub is_paused: bool,
    /// True if the help is shown.
    pub is_help: bool,
    /// Selected Service when another one was opened, to return to.
    left: Option<String>,
}

impl View {
    /// Returns a view in the given order.
    #[must_use]
    pub fn new(sort: Sort) -> Self {
        Self {
            sort,
            ..Self::default()
        }
    }

    /// Shows new traffic. While the screen is paused, keeps it for later.
    pub fn show(&mut self, traffic: NodeTraffic) {
        if self.is_paused {
            self.waiting = Some(traffic);
        } else {
            let selected = self.selected_name();
            self.traffic = traffic;
            self.arrange(selected);
        }
    }

    /// Sets the number of rows that fit on the screen.
    pub fn resize(&mut self, height: usize) {
        self.height = height;
        self.scroll();
    }

    /// Returns the rows that are on the screen, with their indexes.
    pub fn visible(&self) -> impl Iterator<Item = (usize, Row)> {
        let rows = self.rows.iter().copied().enumerate();
        rows.skip(self.first).take(self.height)
    }

    /// Returns the open Service. `None` if all Services are shown, or if it no longer exists.
    #[must_use]
    pub fn open_service(&self) -> Option<&ServiceTraffic> {
        let name = self.open.as_ref()?;
        let mut services = self.traffic.services.iter();
        services.find(|service| service.name == *name)
    }

    /// Changes the state by a key.
    pub fn press(&mut self, key: KeyEvent) -> Reaction {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Reaction::Quit,
                _ => Reaction::Draw,
            };
        }
        if self.is_help {
            self.is_help = false;
            return match key.code {
                KeyCode::Char('q') => Reaction::Quit,
                _ => Reaction::Draw,
            };
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Reaction::Draw;
        }
        match key.code {
            KeyCode::Char('q') => return Reaction::Quit,
            KeyCode::Char('?') => self.is_help = true,
            KeyCode::Char('/') => self.begin_filter(),
            KeyCode::Char(' ') => self.pause(),
            KeyCode::Char(letter) => self.letter(letter),
            KeyCode::Enter => self.enter(),
            KeyCode::Esc => self.back(),
            code => self.travel(code),
        }
        Reaction::Draw
    }

    fn letter(&mut self, letter: char) {
        match letter {
            'j' => self.travel(KeyCode::Down),
            'k' => self.travel(KeyCode::Up),
            'g' => self.travel(KeyCode::Home),
            'G' => self.travel(KeyCode::End),
            _ => {
                if let Some((_, sort)) = Sort::ALL.iter().find(|(key, _)| *key == letter) {
                    self.sort = *sort;
                    self.arrange(None);
                    self.travel(KeyCode::Home);
                }
            }
        }
    }

    fn travel(&mut self, code: KeyCode) {
        let page = self.height.max(1);
        let last = self.rows.len().saturating_sub(1);
        self.selected = match code {
            KeyCode::Up => self.selected.saturating_sub(1),
            KeyCode::Down => self.selected.saturating_add(1),
            KeyCode::PageUp => self.selected.saturating_sub(page),
            KeyCode::PageDown => self.selected.saturating_add(page),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => return,
        };
        self.scroll();
    }

    fn begin_filter(&mut self) {
        self.open = None;
        self.is_typing = true;
        self.arrange(None);
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.chars().count() < MAX_FILTER => {
                self.filter.push(letter);
            }
            code => return self.travel(code),
        }
        self.arrange(None);
        self.selected = 0;
        self.scroll();
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if let Some(traffic) = self.waiting.take() {
            self.show(traffic);
        }
    }

    fn enter(&mut self) {
        if self.open.is_none()
            && let Some(name) = self.selected_name()
        {
            self.left = Some(name.clone());
            self.open = Some(name);
            self.selected = 0;
            self.arrange(None);
        }
    }

    /// Closes the open Service, or clears the filter.
    fn back(&mut self) {
        if self.open.take().is_none() {
            self.filter.clear();
        }
        let selected = self.left.take();
        self.arrange(selected);
    }

    /// Returns the name of the selected Service, if all Services are shown.
    fn selected_name(&self) -> Option<String> {
        match self.rows.get(self.selected) {
            Some(Row::Service(index)) => Some(self.traffic.services.get(*index)?.name.clone()),
            _ => None,
        }
    }

    /// Computes the rows again, and selects the Service `selected` if it is shown.
    fn arrange(&mut self, selected: Option<String>) {
        self.rows = match &self.open {
            None => self.service_rows(),
            Some(_) => self
                .open_service()
                .map(|open| open_rows(open, self.sort))
                .unwrap_or_default(),
        };
        if let Some(name) = selected {
            let services = &self.traffic.services;
            let is_selected = |row: &Row| match row {
                Row::Service(index) => services[*index].name == name,
                _ => false,
            };
            self.selected = (self.rows.iter().position(is_selected)).unwrap_or(self.selected);
        }
        self.scroll();
    }

    fn service_rows(&self) -> Vec<Row> {
        let services = &self.traffic.services;
        let mut indexes: Vec<usize> = (0..services.len())
            .filter(|index| services[*index].name.contains(&self.filter))
            .collect();
        indexes.sort_by(|left, right| {
            self.sort
                .compare(&services[*left].traffic, &services[*right].traffic)
        });
        indexes.into_iter().map(Row::Service).collect()
    }

    /// Moves the selection into the list, and the screen to the selection.
    fn scroll(&mut self) {
        let count = self.rows.len();
        let height = self.height.max(1);
        self.selected = self.selected.min(count.saturating_sub(1));
        let lowest = (self.selected + 1).saturating_sub(height);
        let highest = self.selected.min(count.saturating_sub(height));
        self.first = self.first.clamp(lowest, highest);
    }
}

/// Returns the virtual servers of a Service, each followed by its real servers in the order `sort`.
fn open_rows(service: &ServiceTraffic, sort: Sort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, server) in service.servers.iter().enumerate() {
        rows.push(Row::Server(index));
        let reals = &server.real_servers;
        let mut order: Vec<usize> = (0..reals.len()).collect();
        order.sort_by(|left, right| sort.compare(&reals[*left].traffic, &reals[*right].traffic));
        rows.extend(order.into_iter().map(|real| Row::Endpoint(index, real)));
    }
    rows
}
