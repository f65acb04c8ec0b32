//! Plays ward systems and home offices, which only speak the protocol, and checks the ledgers they keep.
