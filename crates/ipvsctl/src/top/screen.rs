//! The live view on a terminal.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::draw::{Header, draw, rows_on};
use super::reader::{Measured, Reader, daemon_line, pause};
use super::traffic::NodeTraffic;
use super::view::{Reaction, Sort, View};
use crate::error::Error;
use crate::interrupt::Interrupt;

/// Maximum time until a new sample or a signal is noticed.
const TICK: Duration = Duration::from_millis(50);

/// Minimum time between two requests to kube-ipvsd, whose metrics page may be large.
const DAEMON_PERIOD: Duration = Duration::from_secs(5);

/// Settings of the live view.
#[derive(Debug)]
pub struct Settings {
    /// Name of the node.
    pub node: String,
    /// Time between two readings.
    pub interval: Duration,
    /// Order at the start.
    pub sort: Sort,
    /// Metrics address of kube-ipvsd.
    pub daemon: SocketAddr,
}

/// New content for the screen.
enum Update {
    Traffic(NodeTraffic, String),
    Daemon(String),
    Problem(String),
}

/// Shows the live view until the operator quits or a signal arrives. Restores the terminal, also if
/// the program panics.
///
/// # Errors
///
/// The terminal cannot be used.
pub fn run(reader: Reader, settings: &Settings, interrupt: &Interrupt) -> Result<(), Error> {
    let mut terminal = ratatui::try_init().map_err(Error::Terminal)?;
    let updates = start(reader, settings, interrupt);
    let shown = show(&mut terminal, settings, &updates, interrupt);
    interrupt.set();
    ratatui::restore();
    shown.map_err(Error::Terminal)
}

fn show(
    terminal: &mut DefaultTerminal,
    settings: &Settings,
    updates: &Receiver<Update>,
    interrupt: &Interrupt,
) -> io::Result<()> {
    let mut view = View::new(settings.sort);
    let mut header = Header {
        node: settings.node.clone(),
        ..Header::default()
    };
    let mut is_changed = true;
    while !interrupt.is_set() {
        if is_changed {
            let size = terminal.size()?;
            view.resize(rows_on(size.into()));
            terminal.draw(|frame| draw(frame, &view, &header))?;
        }
        is_changed = receive(updates, &mut view, &mut header);
        // Keys that wait are handled before the next drawing, so that a held key stays smooth.
        let mut limit = TICK;
        while event::poll(limit)? {
            limit = Duration::ZERO;
            is_changed = true;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && view.press(key) == Reaction::Quit
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Takes the updates that wait. Returns true if there were any.
fn receive(updates: &Receiver<Update>, view: &mut View, header: &mut Header) -> bool {
    let mut is_changed = false;
    while let Ok(update) = updates.try_recv() {
        is_changed = true;
        match update {
            Update::Traffic(traffic, time) => {
                view.show(traffic);
                header.time = time;
                header.problem = None;
            }
            Update::Daemon(line) => header.daemon = line,
            Update::Problem(problem) => header.problem = Some(problem),
        }
    }
    is_changed
}

/// Starts the threads that read the counters and the daemon.
fn start(reader: Reader, settings: &Settings, interrupt: &Interrupt) -> Receiver<Update> {
    let (sender, updates) = mpsc::channel();
    let Settings {
        interval, daemon, ..
    } = *settings;
    let (to_screen, ended) = (sender.clone(), interrupt.clone());
    thread::spawn(move || read(reader, interval, &to_screen, &ended));
    let ended = interrupt.clone();
    thread::spawn(move || {
        loop {
            let line = daemon_line(daemon);
            let rest = interval.max(DAEMON_PERIOD);
            if sender.send(Update::Daemon(line)).is_err() || ended.wait(rest) {
                return;
            }
        }
    });
    updates
}

fn read(mut reader: Reader, interval: Duration, sender: &Sender<Update>, ended: &Interrupt) {
    loop {
        let (update, took) = match reader.read() {
            Ok(Some(Measured { traffic, took })) => {
                let time = format!("{:.0}", Timestamp::now());
                (Update::Traffic(traffic, time), took)
            }
            Ok(None) => return,
            Err(error) => {
                let problem = model::escaped(&model::chain(&error));
                (Update::Problem(problem), Duration::ZERO)
            }
        };
        if sender.send(update).is_err() || ended.wait(pause(interval, took)) {
            return;
        }
    }
}
