//! The limit of open file descriptors (`RLIMIT_NOFILE`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Raises the soft limit to the hard limit, as Go's runtime does. The soft limit is 1024 on many
/// systems, for the sake of programs that use `select`. Returns the limit in force; `u64::MAX`
/// stands for no limit.
///
/// Child processes inherit the limit. The child processes, iptables and modprobe, do not use
/// `select`.
pub(super) fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let Some(raised) = raised(before) else {
        return in_force(before);
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            debug!(
                from = in_force(before),
                to = in_force(raised),
                "raised the limit of open file descriptors"
            );
            in_force(raised)
        }
        Err(problem) => {
            warn!("failed to raise the limit of open file descriptors: {problem}; the limit stays");
            in_force(before)
        }
    }
}

/// Returns the limits to set, or `None` if the soft limit equals the hard limit.
fn raised(limits: Rlimit) -> Option<Rlimit> {
    let soft = in_force(limits);
    let hard = limits.maximum.unwrap_or(u64::MAX);
    (soft < hard).then_some(Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    })
}

fn in_force(limits: Rlimit) -> u64 {
    limits.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limits = |current, maximum| Rlimit { current, maximum };
        let raised_from = |current, maximum| raised(limits(current, maximum));
        assert_eq!(
            raised_from(Some(1024), Some(4096)),
            Some(limits(Some(4096), Some(4096)))
        );
        assert_eq!(raised_from(Some(1024), None), Some(limits(None, None)));
        assert_eq!(raised_from(Some(4096), Some(4096)), None);
        assert_eq!(raised_from(None, None), None);
    }

    /// The limit stays raised for the other tests of this process; no test depends on a lower one.
    #[test]
    fn the_process_gets_the_hard_limit() {
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise_limit(), hard.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
        assert_eq!(raise_limit(), hard.unwrap_or(u64::MAX));
    }
}
