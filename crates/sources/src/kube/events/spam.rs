//! Rate limit for events about one object.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Regarding;

/// At once.
const BURST: u32 = 25;
/// One more after each of these.
const PERIOD: Duration = Duration::from_secs(5 * 60);
/// Number of objects that are remembered.
const OBJECTS: usize = 4096;

/// A bucket of tokens for each object.
///
/// Source: `EventSourceObjectSpamFilter` in `client-go/tools/record/events_cache.go`, Kubernetes 1.34, with
/// its numbers.
#[derive(Debug, Default)]
pub(super) struct SpamFilter(BTreeMap<Regarding, Bucket>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u32,
    /// Since when the next token fills.
    since: Instant,
}

impl SpamFilter {
    /// Returns true if one more event about `object` is to be sent at `now`; if so it counts.
    pub(super) fn admits(&mut self, object: &Regarding, now: Instant) -> bool {
        if !self.0.contains_key(object) {
            self.make_room(now);
        }
        let full = Bucket {
            tokens: BURST,
            since: now,
        };
        let bucket = self.0.entry(object.clone()).or_insert(full);
        bucket.fill(now);
        let admitted = bucket.tokens > 0;
        bucket.tokens = bucket.tokens.saturating_sub(1);
        admitted
    }

    /// Forgets objects whose bucket is full again, or else the one that was quiet for longest.
    fn make_room(&mut self, now: Instant) {
        if self.0.len() < OBJECTS {
            return;
        }
        self.0.retain(|_, bucket| {
            bucket.fill(now);
            bucket.tokens < BURST
        });
        if self.0.len() >= OBJECTS {
            let oldest = self.0.iter().min_by_key(|(_, bucket)| bucket.since);
            if let Some(oldest) = oldest.map(|(object, _)| object.clone()) {
                self.0.remove(&oldest);
            }
        }
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        while self.tokens < BURST && now.saturating_duration_since(self.since) >= PERIOD {
            self.tokens += 1;
            self.since += PERIOD;
        }
        if self.tokens == BURST {
            self.since = now;
        }
    }
}
