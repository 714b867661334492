//! TCP keepalive of a network namespace.

/// TCP keepalive of sockets that enable it and have no values of their own: the settings
/// `net.ipv4.tcp_keepalive_time`, `tcp_keepalive_intvl` and `tcp_keepalive_probes`
/// (Documentation/networking/ip-sysctl.rst, Linux 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time before the first probe, in seconds.
    pub time: u32,
    /// Time between unanswered probes, in seconds.
    pub interval: u32,
    /// Number of unanswered probes after which the connection ends.
    pub probes: u32,
}

impl Keepalive {
    /// Names of the settings, in the order of the fields.
    pub const SETTINGS: [&str; 3] = [
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    ];

    /// Values of a new network namespace, and so of a pod that does not set others
    /// (`TCP_KEEPALIVE_*` in include/net/tcp.h, `tcp_sk_init` in net/ipv4/tcp_ipv4.c, Linux 6.1).
    pub const LINUX: Self = Self {
        time: 7200,
        interval: 75,
        probes: 9,
    };

    /// Reads the values as `/proc/sys` shows them, in the order of the fields. Returns `None` if
    /// one is missing, negative or not a number: the kernel stores a negative time if asked to
    /// (`proc_dointvec_jiffies`, kernel/sysctl.c, Linux 6.1).
    #[must_use]
    pub fn parse(values: [Option<&str>; 3]) -> Option<Self> {
        let [time, interval, probes] = values.map(|value| value?.trim().parse().ok());
        Some(Self {
            time: time?,
            interval: interval?,
            probes: probes?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Keepalive;

    #[test]
    fn unusable_values_are_unknown() {
        let parse = |time| Keepalive::parse([time, Some("75\n"), Some("9\n")]);
        assert_eq!(parse(Some("7200\n")), Some(Keepalive::LINUX));
        let zero = Keepalive {
            time: 0,
            ..Keepalive::LINUX
        };
        assert_eq!(parse(Some("0\n")), Some(zero));
        for time in [
            None,
            Some(""),
            Some("-1\n"),
            Some("4294967296\n"),
            Some("2h\n"),
        ] {
            assert_eq!(parse(time), None, "{time:?}");
        }
        assert_eq!(Keepalive::parse([Some("7200"), None, Some("9")]), None);
    }
}
