//! Rate limit for events about one object.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Regarding;

/// Maximum number of events without a pause.
const BURST: u32 = 25;
/// Time after which one more event is admitted.
const PERIOD: Duration = Duration::from_secs(5 * 60);
/// Maximum number of objects with a bucket.
const OBJECTS: usize = 4096;

/// A token bucket for each object.
///
/// Source: `EventSourceObjectSpamFilter` in `client-go/tools/record/events_cache.go`, Kubernetes
/// 1.34, with its numbers.
#[derive(Debug, Default)]
pub(super) struct EventRateLimit(BTreeMap<Regarding, Bucket>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u32,
    /// Time from which the next token counts.
    since: Instant,
}

impl EventRateLimit {
    /// Returns true, and takes a token, if an event about `object` may be sent at `now`.
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

    /// Removes objects with full buckets, or else the object that has been quiet for longest.
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
