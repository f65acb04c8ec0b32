//! The small values that messages are made of, as the wire spells them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xacminh_domain::id::{HandlerId, MessageId, OfficeId, RequestId};
use xacminh_domain::person::PartialDate;
use xacminh_domain::unit::UnitCode;

/// Starts the message of an error about a day that does not exist, so that the refusal can say so.
pub(crate) const DATE_IMPOSSIBLE: &str = "date_impossible";

/// Makes a value travel as text, checked by its `FromStr`.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident($inner:ty), $schema:literal, $pattern:expr, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(d)?;
                <$inner>::from_str(&text).map(Self).map_err(|_| D::Error::custom(concat!("expected ", $schema)))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $schema, "pattern": $pattern, "examples": [$example] })
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_value!(
    /// A request's id on the wire.
    ReqId(RequestId), "a UUID of version 7: the message-id of the submit",
    "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", "019a9a3c-5800-7abc-8def-0123456789ab"
);
text_value!(
    /// A message's id on the wire.
    MsgId(MessageId), "a UUID of version 7",
    "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", "019a9a3c-5800-7abc-8def-0123456789ab"
);
text_value!(
    /// An office's id on the wire.
    Office(OfficeId), "an office id: vp and six characters", "^vp[a-z2-9]{6}$", "vpk7m2qd"
);
text_value!(
    /// An office's own opaque id of one of its people.
    Handler(HandlerId), "an opaque id, 1 to 64 of A-Z a-z 0-9 . _ -", "^[A-Za-z0-9._-]{1,64}$", "cb-017"
);
text_value!(
    /// The code of an administrative unit.
    Unit(UnitCode), "a unit code of 2, 3 or 5 digits, leading zeros kept", "^([0-9]{2}|[0-9]{3}|[0-9]{5})$", "00004"
);

/// A day in Vietnam, `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub Date);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        let date = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
        date.map(Self)
            .ok_or_else(|| D::Error::custom(format!("{DATE_IMPOSSIBLE}: expected a day that exists, YYYY-MM-DD")))
    }
}

impl JsonSchema for Day {
    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date", "description": "A day in Vietnam, YYYY-MM-DD.", "examples": ["2026-11-19"] })
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        Self(date)
    }
}

/// An instant, RFC 3339 with an offset; written in Vietnam's, to the microsecond at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Timestamp);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display_with_offset(jiff::tz::offset(7)).fmt(f)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        let at: Timestamp = text.parse().map_err(|_| {
            D::Error::custom(format!("{DATE_IMPOSSIBLE}: expected an instant that exists, RFC 3339 with an offset"))
        })?;
        // Whole microseconds: what the ledger keeps.
        Timestamp::from_microsecond(at.as_microsecond()).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "An instant, RFC 3339 with an offset.", "examples": ["2026-11-19T08:05:00+07:00"] })
    }
}

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// A birth date, of which sometimes only year, or year and month, is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Birth(pub PartialDate);

impl Serialize for Birth {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            PartialDate::Day(on) => s.collect_str(&on),
            PartialDate::Month(year, month) => s.collect_str(&format_args!("{year:04}-{month:02}")),
            PartialDate::Year(year) => s.collect_str(&format_args!("{year:04}")),
        }
    }
}

impl<'de> Deserialize<'de> for Birth {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        PartialDate::parse(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!("{DATE_IMPOSSIBLE}: expected YYYY, YYYY-MM or YYYY-MM-DD, from 1850 on"))
        })
    }
}

impl JsonSchema for Birth {
    fn schema_name() -> Cow<'static, str> {
        "Birth".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "YYYY, YYYY-MM or YYYY-MM-DD.", "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$", "examples": ["1990-02-03", "1956"] })
    }
}

/// Text of at most `N` characters and at least one that is not a space.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<const N: usize>(pub String);

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.trim().is_empty() || text.chars().count() > N {
            return Err(D::Error::custom(format!("expected a text of 1 to {N} characters")));
        }
        Ok(Self(text))
    }
}

impl<const N: usize> JsonSchema for Text<N> {
    fn schema_name() -> Cow<'static, str> {
        format!("Text{N}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": N })
    }
}

/// A country: two capital letters, ISO 3166-1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Country(pub String);

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(Self(text))
        } else {
            Err(D::Error::custom("expected two capital letters (ISO 3166-1)"))
        }
    }
}

impl JsonSchema for Country {
    fn schema_name() -> Cow<'static, str> {
        "Country".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "ISO 3166-1, two capital letters.", "pattern": "^[A-Z]{2}$", "examples": ["VN"] })
    }
}

/// May be personal: only its length is shown.
impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Reads `null` as what is there when the field is left out.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

/// Reads one of a closed list of words. Whatever was sent instead, of any kind, the error lists them:
/// the derived reader of an enum knows no more of a number than that a value was expected.
pub(crate) fn one_of<'de, D: Deserializer<'de>, T>(
    d: D,
    words: &'static [&'static str],
    read: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct OneOf<T>(&'static [&'static str], fn(&str) -> Option<T>);

    impl<T> serde::de::Visitor<'_> for OneOf<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "one of `{}`", self.0.join("`, `"))
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
            (self.1)(word).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Other("another word"), &self))
        }
    }

    d.deserialize_str(OneOf(words, read))
}

/// A closed list of words on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $crate::values::one_of(d, &[$($word),+], Self::from_word)
            }
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the word of the wire.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

/// A closed list of words that mirrors an enum of the domain, word by word.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident = $domain:path { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $crate::values::words!($(#[$doc])* $name { $($(#[$vdoc])* $variant = $word),+ });

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                use $domain as D;
                match value { $(D::$variant => Self::$variant,)+ }
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                use $domain as D;
                match value { $($name::$variant => D::$variant,)+ }
            }
        }
    };
}
pub(crate) use wire_enum;
