//! Blocking netlink: many requests in one send, matched acknowledgements, dumps that know when they are torn.
