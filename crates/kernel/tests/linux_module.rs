//! A kernel without IPVS. Run it with `cargo xtask vm --without-module ip_vs`, in a guest without
//! these modules.

mod vm;

use kernel::{LinuxKernel, ModulePolicy, OpenError};
use support::namespace::in_namespace;

#[test]
fn a_missing_module_is_named_with_its_remedy() {
    in_namespace(|| {
        for policy in [ModulePolicy::DoNotLoad, ModulePolicy::Load] {
            let error = LinuxKernel::open(policy).expect_err(
                "this kernel has IPVS: run this test with `cargo xtask vm --without-module ip_vs`",
            );
            let OpenError::NoModule { source, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(source.is_some(), policy == ModulePolicy::Load, "{source:?}");
            let text = error.to_string();
            assert!(text.contains("modprobe ip_vs"), "{text}");
            assert!(text.contains("CONFIG_IP_VS"), "{text}");
        }
    });
}
