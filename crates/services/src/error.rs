//! What can go wrong in a workflow.

use xacminh_domain::rules::MissingRule;
use xacminh_domain::wording::WordingError;

/// An error of a workflow. `disposition` says what follows from it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] xacminh_store::Error),
    /// RabbitMQ.
    #[error(transparent)]
    Bus(#[from] xacminh_bus::Error),
    /// The dated data have a gap.
    #[error(transparent)]
    Rule(#[from] MissingRule),
    /// The citizen's sentence cannot be made.
    #[error("citizen's sentence: {0}")]
    Wording(#[from] WordingError),
    /// An office of a request is not in the directory.
    #[error("office {0} is not in the directory")]
    Office(xacminh_domain::id::OfficeId),
}

impl Error {
    /// The same may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Bus(error) => error.is_transient(),
            Self::Rule(_) | Self::Wording(_) | Self::Office(_) => false,
        }
    }
}
