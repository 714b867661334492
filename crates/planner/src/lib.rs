//! The decisions of kube-ipvs: from cluster state to node tables, from tables to a plan.
