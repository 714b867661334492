//! The seam between kube-ipvs and the Linux kernel.
