//! Pods that answer line by line, for connections that stay open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use e2e::{Context as _, Family, Lab, Outcome};

/// The port of all recorded endpoints.
const PORT: u16 = 8080;

/// A server that answers `NAME ADDRESS` to each line until it is dropped.
pub(crate) struct Lines {
    ended: Arc<AtomicBool>,
    places: Vec<SocketAddr>,
}

impl Lines {
    /// Starts the server in pod `name`, in both families.
    pub(crate) fn start(lab: &Lab, name: &'static str) -> Outcome<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let mut places = Vec::new();
        for family in [Family::V4, Family::V6] {
            let place = SocketAddr::new(lab.address(name, family)?, PORT);
            let listener = lab.place(name)?.run(|| TcpListener::bind(place));
            let listener = listener.context(|| format!("listening on {place}"))?;
            places.push(place);
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    // The client detects a broken connection.
                    thread::spawn(move || drop(answer(name, &stream)));
                }
            });
        }
        Ok(Self { ended, places })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The next connection ends the thread; without one it ends with the process.
        self.places.clear();
    }
}

fn answer(name: &str, stream: &TcpStream) -> std::io::Result<()> {
    let from = stream.peer_addr()?.ip();
    for line in BufReader::new(stream).lines() {
        line?;
        writeln!(&*stream, "{name} {from}")?;
    }
    Ok(())
}
