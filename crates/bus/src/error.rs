//! What can go wrong between us and RabbitMQ, and whether trying again may help.

use std::sync::Arc;

use lapin::ErrorKind;

/// Why something about RabbitMQ did not work. Cheap to clone, because the state of a connection
/// keeps its last one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The address is not one.
    #[error("the address of RabbitMQ cannot be used: {0}")]
    Address(String),
    /// RabbitMQ took the connection and then kept silent. A node that has run out of file handles
    /// does just that.
    #[error("RabbitMQ did not answer within {0} s")]
    Silent(u64),
    /// RabbitMQ, or the way to it, refused.
    #[error("could not {doing}")]
    Amqp {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// What lapin says.
        source: lapin::Error,
    },
    /// There is a queue or an exchange of that name, but a different one: most often a classic
    /// queue where a quorum queue belongs.
    #[error("{name} is there, but not as it has to be: {found}")]
    Different {
        /// Its name.
        name: String,
        /// RabbitMQ's own words.
        found: String,
    },
    /// The channel this delivery came over is gone. RabbitMQ delivers it again.
    #[error("the delivery's channel is gone, it will be delivered again")]
    DeliveryLost,
    /// Not connected just now.
    #[error("not connected to RabbitMQ")]
    Away,
    /// The bus was told to stop.
    #[error("the bus is shutting down")]
    Stopping,
    /// The management API could not be asked.
    #[error("could not {doing} through RabbitMQ's management API")]
    Management {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// What the HTTP client says.
        source: Arc<ureq::Error>,
    },
    /// The management API said no.
    #[error("RabbitMQ's management API refused to {doing}: {status} {reason}")]
    ManagementRefused {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// The operating system gave no random bytes for a salt.
    #[error("no random bytes to be had")]
    Random,
}

impl Error {
    pub(crate) fn amqp(doing: &'static str) -> impl FnOnce(lapin::Error) -> Self {
        move |source| Self::Amqp { doing, source }
    }

    /// May the same thing work in a moment, without anybody changing anything?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Silent(_) | Self::DeliveryLost | Self::Away => true,
            Self::Amqp { source, .. } => is_transient(source),
            Self::Management { source, .. } => !matches!(**source, ureq::Error::BadUri(_)),
            Self::ManagementRefused { status, .. } => *status >= 500,
            Self::Address(_) | Self::Different { .. } | Self::Stopping | Self::Random => false,
        }
    }

    /// Did the management API refuse the login itself, or want another tag on it?
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::ManagementRefused { status: 401 | 403, .. })
    }

    /// Did RabbitMQ say that something of that name is not there?
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Amqp { source, .. } => reply_code(source) == Some(NOT_FOUND),
            Self::ManagementRefused { status, .. } => *status == 404,
            Self::Address(_)
            | Self::Silent(_)
            | Self::Different { .. }
            | Self::DeliveryLost
            | Self::Away
            | Self::Stopping
            | Self::Management { .. }
            | Self::Random => false,
        }
    }
}

const CONNECTION_FORCED: u16 = 320;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
pub(crate) const PRECONDITION_FAILED: u16 = 406;
const RESOURCE_ERROR: u16 = 506;
const INTERNAL_ERROR: u16 = 541;

/// The code of AMQP in an error, if RabbitMQ itself spoke.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    if let ErrorKind::ProtocolError(said) = error.kind() { Some(said.get_id()) } else { None }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "lapin's enum is open, and a new kind is no reason to retry")]
fn is_transient(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(said) => {
            matches!(said.get_id(), CONNECTION_FORCED | RESOURCE_LOCKED | RESOURCE_ERROR | INTERNAL_ERROR)
        }
        ErrorKind::IOError(_)
        | ErrorKind::MissingHeartbeatError
        | ErrorKind::InvalidChannel(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::InvalidConnectionState(_) => true,
        _ => false,
    }
}
