//! Cases about the dummy device and its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Op;

use super::ContractKernel;
use super::builders::{VIP4, VIP6, do_all, read, refused};
use super::named;
use model::kernel::OpErrorKind;

named![
    the_device_is_missing_until_it_is_ensured,
    ensuring_the_device_again_keeps_its_addresses,
    deleting_the_device_deletes_its_addresses,
    deleting_a_missing_device_is_refused,
    addresses_of_both_families_read_back_as_added,
    addresses_of_the_device_are_not_those_of_the_node,
    adding_an_address_that_exists_is_refused,
    deleting_a_missing_address_is_refused,
    an_address_without_the_device_is_refused,
    a_thousand_addresses_go_in_one_stage_and_out_in_another,
];

fn the_device_is_missing_until_it_is_ensured(kernel: &mut dyn ContractKernel) {
    assert!(!read(kernel).device);
    do_all(kernel, [Op::EnsureDevice]);
    let snapshot = read(kernel);
    assert!(snapshot.device);
    assert!(snapshot.tables.addresses.is_empty());
}

fn ensuring_the_device_again_keeps_its_addresses(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::EnsureDevice, Op::AddAddress(VIP4)]);
    do_all(kernel, [Op::EnsureDevice]);
    let snapshot = read(kernel);
    assert!(snapshot.device);
    assert!(snapshot.tables.addresses.contains(&VIP4));
}

fn deleting_the_device_deletes_its_addresses(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::EnsureDevice, Op::AddAddress(VIP4)]);
    do_all(kernel, [Op::DelDevice]);
    let snapshot = read(kernel);
    assert!(!snapshot.device);
    assert!(snapshot.tables.addresses.is_empty());
    do_all(kernel, [Op::EnsureDevice]);
    assert!(read(kernel).tables.addresses.is_empty());
}

fn deleting_a_missing_device_is_refused(kernel: &mut dyn ContractKernel) {
    assert_eq!(refused(kernel, Op::DelDevice), OpErrorKind::NoDevice);
}

fn addresses_of_both_families_read_back_as_added(kernel: &mut dyn ContractKernel) {
    do_all(
        kernel,
        [Op::EnsureDevice, Op::AddAddress(VIP6), Op::AddAddress(VIP4)],
    );
    assert_eq!(read(kernel).tables.addresses, [VIP4, VIP6].into());
    do_all(kernel, [Op::DelAddress(VIP4)]);
    assert_eq!(read(kernel).tables.addresses, [VIP6].into());
    do_all(kernel, [Op::DelAddress(VIP6)]);
    assert!(read(kernel).tables.addresses.is_empty());
}

fn addresses_of_the_device_are_not_those_of_the_node(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::EnsureDevice, Op::AddAddress(VIP4)]);
    let node = read(kernel).node;
    let names: Vec<&str> = node.interfaces.iter().map(|each| &*each.name).collect();
    assert!(names.contains(&"lo"), "{names:?}");
    assert!(names.is_sorted(), "{names:?}");
    assert!(!names.contains(&model::DEVICE), "{names:?}");
    let addresses: Vec<IpAddr> = node.addresses().collect();
    assert!(addresses.contains(&Ipv4Addr::LOCALHOST.into()));
    assert!(addresses.contains(&Ipv6Addr::LOCALHOST.into()));
    assert!(!addresses.contains(&VIP4));
}

fn adding_an_address_that_exists_is_refused(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::EnsureDevice]);
    for address in [VIP4, VIP6] {
        do_all(kernel, [Op::AddAddress(address)]);
        let kind = refused(kernel, Op::AddAddress(address));
        assert_eq!(kind, OpErrorKind::AlreadyExists, "{address}");
    }
}

fn deleting_a_missing_address_is_refused(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::EnsureDevice]);
    for address in [VIP4, VIP6] {
        let kind = refused(kernel, Op::DelAddress(address));
        assert_eq!(kind, OpErrorKind::NoSuchAddress, "{address}");
    }
}

fn an_address_without_the_device_is_refused(kernel: &mut dyn ContractKernel) {
    for address in [VIP4, VIP6] {
        for op in [Op::AddAddress(address), Op::DelAddress(address)] {
            assert_eq!(refused(kernel, op), OpErrorKind::NoDevice, "{address}");
        }
    }
}

fn a_thousand_addresses_go_in_one_stage_and_out_in_another(kernel: &mut dyn ContractKernel) {
    let addresses: Vec<IpAddr> = (0..500u16)
        .flat_map(|number| {
            let [high, low] = number.to_be_bytes();
            let v4 = Ipv4Addr::new(10, 97, high, low);
            let v6 = Ipv6Addr::new(0xfd00, 0x97, 0, 0, 0, 0, 0, number + 1);
            [v4.into(), v6.into()]
        })
        .collect();
    do_all(kernel, [Op::EnsureDevice]);
    do_all(kernel, addresses.iter().copied().map(Op::AddAddress));
    let wanted = addresses.iter().copied().collect();
    assert_eq!(read(kernel).tables.addresses, wanted);
    do_all(kernel, addresses.iter().copied().map(Op::DelAddress));
    assert!(read(kernel).tables.addresses.is_empty());
}
