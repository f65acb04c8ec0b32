//! Stories on real servers.
