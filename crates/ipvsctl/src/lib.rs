//! ipvsctl, the operator's view of a node's IPVS table.
