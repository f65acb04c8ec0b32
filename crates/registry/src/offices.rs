//! Offices and what they serve.

use xacminh_domain::Date;
use xacminh_domain::office::{Office, OfficeKind, OfficeServes, Served};
use xacminh_domain::unit::{UnitCode, UnitLevel};

use crate::error::Error;
use crate::table::{Files, Record, Table};

/// An office with its interval and where its telephone number comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeRow {
    /// The office.
    pub office: Office,
    /// Where the number comes from (`made_up` until somebody gives real ones).
    pub phone_source: String,
    /// The first day; none: before the record begins.
    pub valid_from: Option<Date>,
    /// The last day, inclusive; none: still there.
    pub valid_to: Option<Date>,
}

pub(crate) struct OfficeFiles {
    pub(crate) offices: Table<OfficeRow>,
    pub(crate) serves: Table<OfficeServes>,
}

impl OfficeFiles {
    pub(crate) fn read(files: &mut Files) -> Result<Self, Error> {
        let offices = files.table(
            "offices/offices.csv",
            &[
                "office_id",
                "name",
                "kind",
                "province_code",
                "phone",
                "opening_hours",
                "fallback_phone",
                "phone_source",
                "valid_from",
                "valid_to",
            ],
            office,
        )?;
        let serves = files.table(
            "offices/office_serves.csv",
            &["office_id", "level", "unit_code", "valid_from", "valid_to"],
            |r| {
                let (valid_from, valid_to) = r.interval()?;
                Ok(OfficeServes { office: r.parsed("office_id")?, served: served(r)?, valid_from, valid_to })
            },
        )?;
        Ok(Self { offices, serves })
    }
}

fn office(r: &Record<'_>) -> Result<OfficeRow, Error> {
    let kind = r.word("kind", OfficeKind::from_word)?;
    let province = r.code_or_none("province_code")?;
    if province.is_some_and(|code| code.level() != UnitLevel::Province) {
        return Err(r.fault("province_code", "not the code of a province"));
    }
    if province.is_none() != (kind == OfficeKind::MinistryUnit) {
        return Err(r.fault("province_code", "every office but the ministry's lies in a province"));
    }
    let (phone, fallback_phone) = (r.optional("phone")?, r.optional("fallback_phone")?);
    if phone.is_none() && fallback_phone.is_none() {
        return Err(r.fault("phone", "neither a phone nor a fallback"));
    }
    let (valid_from, valid_to) = r.interval()?;
    Ok(OfficeRow {
        office: Office {
            id: r.parsed("office_id")?,
            name: r.required("name")?,
            kind,
            province,
            phone,
            fallback_phone,
            opening_hours: r.parsed("opening_hours")?,
        },
        phone_source: r.required("phone_source")?,
        valid_from,
        valid_to,
    })
}

fn served(r: &Record<'_>) -> Result<Served, Error> {
    let level = r.required("level")?;
    if level == Served::Nation.level() {
        r.word("unit_code", |word| (word == Served::NATION).then_some(()))?;
        return Ok(Served::Nation);
    }
    let code: UnitCode = r.parsed("unit_code")?;
    let served = match code.level() {
        UnitLevel::Commune => Served::Commune(code),
        UnitLevel::Province => Served::Province(code),
        UnitLevel::District => return Err(r.fault("unit_code", "no office serves a district")),
    };
    if served.level() == level { Ok(served) } else { Err(r.fault("level", "not the level of the unit_code")) }
}
