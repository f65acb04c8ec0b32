//! Units, what became of them, and their other spellings.

use std::collections::BTreeMap;

use xacminh_domain::Date;
use xacminh_domain::unit::{NameVariant, Succession, SuccessionDetail, Unit, UnitCode, UnitLevel, UnitType};

use crate::error::Error;
use crate::table::{Files, Record, Table};

/// A code that named another unit before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReusedCode {
    pub(crate) code: UnitCode,
    pub(crate) old_name: String,
    pub(crate) new_name: String,
}

/// All files of `units/`.
pub(crate) struct UnitFiles {
    pub(crate) provinces: Table<Unit>,
    pub(crate) districts: Table<Unit>,
    pub(crate) communes: Table<Unit>,
    pub(crate) successions: Table<Succession>,
    pub(crate) province_successions: Table<Succession>,
    pub(crate) district_successions: Table<Succession>,
    pub(crate) variants: Table<NameVariant>,
    pub(crate) province_variants: Table<NameVariant>,
    pub(crate) reused: Table<ReusedCode>,
    pub(crate) record_begins: Date,
}

impl UnitFiles {
    pub(crate) fn read(files: &mut Files) -> Result<Self, Error> {
        let provinces =
            files.table("units/provinces.csv", &["code", "name", "kind", "valid_from", "valid_to"], |r| {
                let code = code_of(r, "code", UnitLevel::Province)?;
                unit(r, None, code)
            })?;
        let districts = files.table(
            "units/districts.csv",
            &["code", "name", "kind", "province_code", "valid_from", "valid_to"],
            |r| {
                code_of(r, "code", UnitLevel::District)?;
                let province = code_of(r, "province_code", UnitLevel::Province)?;
                unit(r, Some(province), province)
            },
        )?;
        let communes = files.table(
            "units/communes.csv",
            &["code", "name", "kind", "parent_code", "province_code", "valid_from", "valid_to"],
            |r| {
                code_of(r, "code", UnitLevel::Commune)?;
                let parent: UnitCode = r.parsed("parent_code")?;
                let province = code_of(r, "province_code", UnitLevel::Province)?;
                let fits = match parent.level() {
                    UnitLevel::Province => parent == province,
                    UnitLevel::District => true,
                    UnitLevel::Commune => false,
                };
                if !fits {
                    return Err(r.fault("parent_code", "neither a district nor the commune's province"));
                }
                unit(r, Some(parent), province)
            },
        )?;
        let successions =
            files.table("units/successions-detail.csv", &["old_code", "new_code", "effective", "detail"], |r| {
                succession(r, (UnitLevel::Commune, UnitLevel::Commune), r.word("detail", SuccessionDetail::from_word)?)
            })?;
        check_shares(files, &successions)?;
        let whole = &["old_code", "new_code", "effective", "share_note"];
        let province_successions = files.table("units/province-successions.csv", whole, |r| {
            r.word("share_note", |word| (word == "whole").then_some(()))?;
            succession(r, (UnitLevel::Province, UnitLevel::Province), SuccessionDetail::Whole)
        })?;
        let district_successions = files.table("units/district-successions.csv", whole, |r| {
            r.word("share_note", |word| (word == "whole").then_some(()))?;
            succession(r, (UnitLevel::District, UnitLevel::Commune), SuccessionDetail::Whole)
        })?;
        let variant = &["code", "variant_name", "valid_to"];
        let variants = files.table("units/former-name-variants.csv", variant, name_variant)?;
        let province_variants = files.table("units/province-name-variants.csv", variant, name_variant)?;
        let reused = files.table(
            "units/reused-codes.csv",
            &["level", "code", "old_name", "new_name", "old_unit_in_new_unit"],
            |r| {
                let code: UnitCode = r.parsed("code")?;
                r.word("level", |word| (word == code.level().as_str()).then_some(()))?;
                r.word("old_unit_in_new_unit", |word| matches!(word, "whole" | "part").then_some(()))?;
                Ok(ReusedCode { code, old_name: r.required("old_name")?, new_name: r.required("new_name")? })
            },
        )?;
        let record = files.table("units/record.csv", &["begins"], |r| r.date("begins"))?;
        let record_begins = match record.rows.as_slice() {
            [only] => only.row,
            _ => return Err(record.lacks("begins", "expected one day")),
        };
        Ok(Self {
            provinces,
            districts,
            communes,
            successions,
            province_successions,
            district_successions,
            variants,
            province_variants,
            reused,
            record_begins,
        })
    }
}

fn code_of(r: &Record<'_>, column: &str, level: UnitLevel) -> Result<UnitCode, Error> {
    let code: UnitCode = r.parsed(column)?;
    if code.level() == level { Ok(code) } else { Err(r.fault(column, format!("not the code of a {}", level.as_str()))) }
}

fn unit(r: &Record<'_>, parent: Option<UnitCode>, province: UnitCode) -> Result<Unit, Error> {
    let code: UnitCode = r.parsed("code")?;
    let unit_type = r.word("kind", UnitType::from_word)?;
    if !unit_type.is_of(code.level()) {
        return Err(r.fault("kind", format!("no {} is one", code.level().as_str())));
    }
    let name = r.required("name")?;
    let bare = name.strip_prefix(unit_type.title()).and_then(|rest| rest.strip_prefix(' '));
    if bare.is_none_or(|bare| bare.trim().is_empty()) {
        return Err(r.fault("name", format!("does not begin with {}", unit_type.title())));
    }
    let (valid_from, valid_to) = r.interval()?;
    Ok(Unit { code, name, unit_type, parent, province, valid_from, valid_to })
}

fn succession(r: &Record<'_>, levels: (UnitLevel, UnitLevel), detail: SuccessionDetail) -> Result<Succession, Error> {
    Ok(Succession {
        from_code: code_of(r, "old_code", levels.0)?,
        to_code: code_of(r, "new_code", levels.1)?,
        effective: r.date("effective")?,
        detail,
    })
}

fn name_variant(r: &Record<'_>) -> Result<NameVariant, Error> {
    Ok(NameVariant { code: r.parsed("code")?, name: r.required("variant_name")?, valid_to: r.date("valid_to")? })
}

/// The coarse file of successions must have the edges of the detailed one, and agree on each.
fn check_shares(files: &mut Files, detailed: &Table<Succession>) -> Result<(), Error> {
    let coarse = files.table("units/successions.csv", &["old_code", "new_code", "effective", "share_note"], |r| {
        let whole = r.word("share_note", |word| match word {
            "whole" => Some(true),
            "part" => Some(false),
            _ => None,
        })?;
        Ok((r.parsed::<UnitCode>("old_code")?, r.parsed::<UnitCode>("new_code")?, r.date("effective")?, whole))
    })?;
    let mut shares: BTreeMap<_, _> =
        coarse.rows.iter().map(|l| ((l.row.0, l.row.1, l.row.2), (l.line, l.row.3))).collect();
    if shares.len() != coarse.rows.len() {
        let line = coarse.repeated(|row| (row.0, row.1, row.2)).map_or(1, |l| l.line);
        return Err(coarse.fault(line, "new_code", "this succession stands twice"));
    }
    for edge in &detailed.rows {
        let key = (edge.row.from_code, edge.row.to_code, edge.row.effective);
        match shares.remove(&key) {
            Some((_, whole)) if whole == edge.row.detail.is_whole() => {}
            Some((line, _)) => {
                return Err(coarse.fault(line, "share_note", "successions-detail.csv says otherwise"));
            }
            None => return Err(detailed.fault(edge.line, "new_code", "twice, or not in successions.csv")),
        }
    }
    match shares.values().min() {
        Some((line, _)) => Err(coarse.fault(*line, "new_code", "not in successions-detail.csv")),
        None => Ok(()),
    }
}
