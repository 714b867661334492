//! The words of kube-ipvs: cluster state, node tables, snapshots, plans, findings.
