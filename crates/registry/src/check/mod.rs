//! What one file alone cannot tell: whether the files fit each other.

pub(crate) mod interval;
pub(crate) mod offices;
pub(crate) mod units;
