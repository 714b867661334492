//! A kernel without IPVS: to be run by `cargo xtask vm --without-module ip_vs`, in a guest whose
//! modules lack it.

mod vm;

use kernel::{LinuxKernel, ModulePolicy, OpenError};
use support::namespace::in_namespace;

#[test]
fn a_missing_module_is_named_with_the_way_to_get_it() {
    in_namespace(|| {
        for policy in [ModulePolicy::DoNotLoad, ModulePolicy::Load] {
            let error = LinuxKernel::open(policy).expect_err(
                "this kernel has IPVS: run this by `cargo xtask vm --without-module ip_vs`",
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
