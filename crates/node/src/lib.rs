//! kube-ipvsd, the node daemon: the reconciler and the loop around it.
