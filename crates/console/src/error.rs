//! What can go wrong with the console.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pages can no longer be served.
    #[error("the console's pages cannot be served: {0}")]
    Serve(#[source] std::io::Error),
}
