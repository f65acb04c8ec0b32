//! Instants and days between `jiff` and PostgreSQL. `timestamptz` holds microseconds since 2000, a
//! `date` days since 2000, so both ways are exact.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// Microseconds from 1970 to 2000, and days.
const EPOCH_US: i64 = 946_684_800_000_000;
const EPOCH: Date = Date::constant(2000, 1, 1);

/// An instant as `timestamptz`; `None` inside means `infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(pub(crate) Timestamp);

/// A day as `date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct On(pub(crate) Date);

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for At {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // `Timestamp::MAX` stands for "never", which PostgreSQL calls infinity.
        let us = if self.0 == Timestamp::MAX { i64::MAX } else { self.0.as_microsecond() - EPOCH_US };
        Encode::<Postgres>::encode_by_ref(&us, buf)
    }
}

impl<'r> Decode<'r, Postgres> for At {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("timestamptz arrived as text".into());
        }
        match <i64 as Decode<Postgres>>::decode(value)? {
            i64::MAX => Ok(Self(Timestamp::MAX)),
            us => Ok(Self(Timestamp::from_microsecond(us + EPOCH_US)?)),
        }
    }
}

impl Type<Postgres> for On {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("date")
    }
}

impl PgHasArrayType for On {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_date")
    }
}

impl Encode<'_, Postgres> for On {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let days = EPOCH.until(self.0).map(|span| span.get_days())?;
        Encode::<Postgres>::encode_by_ref(&days, buf)
    }
}

impl<'r> Decode<'r, Postgres> for On {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("a date arrived as text".into());
        }
        let days = <i32 as Decode<Postgres>>::decode(value)?;
        Ok(Self(EPOCH.checked_add(days.days())?))
    }
}
