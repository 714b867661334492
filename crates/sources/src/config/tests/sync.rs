//! Synchronisation daemons.

use super::*;

#[test]
fn a_synchronisation_that_the_kernel_refuses_is_an_error() {
    for (sync, error) in [
        (
            "{role: both}",
            "error: ipvs.sync.interface: is required with ipvs.sync.role",
        ),
        (
            "{role: slave}",
            "error: ipvs.sync.role: \"slave\" is not supported, only none, master, backup, both",
        ),
        (
            "{syncID: 256}",
            "error: ipvs.sync.syncID: must be from 0 to 255, not 256",
        ),
        (
            "{group: 192.0.2.1}",
            "error: ipvs.sync.group: \"192.0.2.1\" is no multicast address such as 224.0.0.81",
        ),
        (
            "{port: 0}",
            "error: ipvs.sync.port: must be from 1 to 65535, not 0",
        ),
        (
            "{ttl: 0}",
            "error: ipvs.sync.ttl: must be from 1 to 255, not 0",
        ),
        (
            "{maxLength: 1023}",
            "error: ipvs.sync.maxLength: must be 0 or from 1024 to 65487, not 1023",
        ),
        (
            "{maxLength: 65488}",
            "error: ipvs.sync.maxLength: must be from 0 to 65487, not 65488",
        ),
        (
            "{interface: a/b}",
            "error: ipvs.sync.interface: \"a/b\" is no interface's name: at most 15 characters, no space, \
             no slash, no colon",
        ),
    ] {
        check(&ours(&format!("ipvs: {{sync: {sync}}}")), &[error]);
    }
}
