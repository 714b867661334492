//! The laws of kube-ipvs as property tests.
