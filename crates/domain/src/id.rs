//! The ids that travel: request, message, office, handler. Each is a newtype, so that two cannot
//! be swapped, and each is checked where it is made.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID of version 7 in its usual form of 36 characters.
    #[error("not a UUID of version 7")]
    NotUuidV7,
    /// Not `vp` and six characters of `a`–`z`, `2`–`9`.
    #[error("not an office id (vp and six characters)")]
    NotOffice,
    /// Empty, longer than 64 characters, or with characters outside `A-Za-z0-9._-`.
    #[error("not an opaque handler id (1 to 64 of A-Z a-z 0-9 . _ -)")]
    NotHandler,
}

/// The id that a client gave to a message: a UUIDv7, whose time says which partition keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Takes a UUID; only version 7 will do.
    pub fn new(id: Uuid) -> Result<Self, IdError> {
        if id.get_version_num() == 7 { Ok(Self(id)) } else { Err(IdError::NotUuidV7) }
    }

    /// The UUID itself.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// The instant the id carries, in whole milliseconds of UTC.
    pub fn at(self) -> Timestamp {
        let ms = self.0.as_u128() >> 80;
        i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    /// Only the usual form is taken (36 characters, lower case), so that one id has one spelling and
    /// a client that compares texts finds its receipt.
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 36 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(IdError::NotUuidV7);
        }
        Uuid::parse_str(text).map_err(|_| IdError::NotUuidV7).and_then(Self::new)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The id of a request: the message id of its submit. Citizens see the file code, never this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(MessageId);

impl RequestId {
    /// The request that a submit with this message id opens.
    pub fn of(submit: MessageId) -> Self {
        Self(submit)
    }

    /// The message id of its submit.
    pub fn message_id(self) -> MessageId {
        self.0
    }

    /// The UUID itself.
    pub fn uuid(self) -> Uuid {
        self.0.uuid()
    }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An office: `vp` and six characters, issued once, never reused. It is also the office's login,
/// the end of its inbox's name, and the key of its rows. It means nothing: which units an office
/// serves is dated data (handbook §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfficeId([u8; 8]);

impl OfficeId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII ever gets in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// A number that spreads offices evenly, for sharding work by office.
    pub fn spread(&self) -> u32 {
        // FNV-1a: stable over releases, which a shard number kept in a table has to be.
        self.0.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
    }
}

impl FromStr for OfficeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; 8] = text.as_bytes().try_into().map_err(|_| IdError::NotOffice)?;
        let well_formed = bytes.starts_with(b"vp") && bytes[2..].iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'9'));
        if well_formed { Ok(Self(bytes)) } else { Err(IdError::NotOffice) }
    }
}

impl fmt::Display for OfficeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who at an office has a request on the desk, as that office's own opaque id: never a name,
/// a login or a badge number (handbook §5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerId(String);

impl HandlerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HandlerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let well_formed = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(IdError::NotHandler) }
    }
}

impl fmt::Display for HandlerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_7_is_a_message_id() {
        let v7 = "019371a0-7c00-7abc-8def-0123456789ab";
        assert_eq!(v7.parse::<MessageId>().unwrap().to_string(), v7);
        assert_eq!("019371a0-7c00-4abc-8def-0123456789ab".parse::<MessageId>(), Err(IdError::NotUuidV7));
        assert_eq!(v7.to_uppercase().parse::<MessageId>(), Err(IdError::NotUuidV7));
        assert_eq!("019371a07c007abc8def0123456789ab".parse::<MessageId>(), Err(IdError::NotUuidV7));
    }

    #[test]
    fn an_office_id_is_vp_and_six() {
        assert_eq!("vpa2b3c4".parse::<OfficeId>().unwrap().as_str(), "vpa2b3c4");
        for bad in ["", "vp", "vpa2b3c", "vpa2b3c41", "xpa2b3c4", "vpA2b3c4", "vpa0b3c4"] {
            assert!(bad.parse::<OfficeId>().is_err(), "{bad}");
        }
    }
}
