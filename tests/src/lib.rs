//! The promises of the broker; see `broker/`.
