use super::*;

#[test]
fn names_of_modules() {
    let check = |path: &str, name: &str| assert_eq!(module_name(Path::new(path)), name);
    check("net/netfilter/ipvs/ip_vs.ko", "ip_vs");
    check("net/netfilter/ipvs/ip_vs_rr.ko.xz", "ip_vs_rr");
    check("net/dummy-irq.ko", "dummy_irq");
}

#[test]
fn what_a_guest_gets() {
    let check =
        |path: &str, expected: bool| assert_eq!(wanted(Path::new(path)), expected, "{path}");
    check("net/netfilter/ipvs/ip_vs.ko", true);
    check("drivers/net/dummy.ko", true);
    check("drivers/char/virtio_console.ko", true);
    check("drivers/char/ipmi/ipmi_si.ko", false);
    check("drivers/net/ethernet/intel/e1000/e1000.ko", false);
    check("sound/soundcore.ko", false);
}
