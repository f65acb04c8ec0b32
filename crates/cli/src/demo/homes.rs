//! The offices of the registry as the demo's players know them.

use std::collections::HashMap;

use jiff::civil::Date;
use xacminh_demo::{HomeOffice, start};
use xacminh_domain::calendar::local_date;
use xacminh_domain::directory::{Directory, HomeRef, HomeWords, Resolution};
use xacminh_domain::id::OfficeId;
use xacminh_domain::name;
use xacminh_domain::office::OfficeKind;
use xacminh_domain::unit::{Unit, UnitCode, UnitLevel, UnitRef};
use xacminh_registry::Registry;

/// How many offices of one province play in the stories.
const CAST: usize = 12;

/// All offices, each with a former address that leads to it alone, where there is one.
pub(crate) fn all(registry: &Registry, directory: &Directory) -> Vec<HomeOffice> {
    let today = local_date(start());
    let former = former_units(registry);
    directory
        .offices()
        .filter(|o| o.kind != OfficeKind::DistrictPolice)
        .map(|office| {
            let unit = match office.kind {
                OfficeKind::CommunePolice => directory.units_of(&office.id, today).into_iter().next(),
                OfficeKind::DistrictPolice | OfficeKind::ProvinceUnit | OfficeKind::MinistryUnit => None,
            };
            let province = office.province.map(|c| c.to_string()).unwrap_or_default();
            let province_name = office.province.and_then(|c| directory.unit_at(&c, today)).map(|u| u.name.clone());
            HomeOffice {
                office: office.id,
                name: office.name.clone(),
                province,
                kind: office.kind.as_str().to_owned(),
                unit_code: unit.map(|u| u.code.to_string()).unwrap_or_default(),
                unit_name: unit.map(|u| u.name.clone()).unwrap_or_default(),
                province_name: province_name.unwrap_or_default(),
                old_words: unit.and_then(|u| {
                    former.get(&u.code)?.iter().find_map(|old| words(registry, directory, old, office.id, today))
                }),
            }
        })
        .collect()
}

/// The former communes that went into each of today's.
fn former_units(registry: &Registry) -> HashMap<UnitCode, Vec<&Unit>> {
    let mut rows: HashMap<UnitCode, Vec<&Unit>> = HashMap::new();
    for unit in registry.units.iter().filter(|u| u.code.level() == UnitLevel::Commune) {
        rows.entry(unit.code).or_default().push(unit);
    }
    let mut former: HashMap<UnitCode, Vec<&Unit>> = HashMap::new();
    for edge in &registry.successions {
        let ended = edge.effective.yesterday().ok();
        let old = rows.get(&edge.from_code).and_then(|r| r.iter().find(|u| u.valid_to == ended));
        if let Some(old) = old.filter(|u| u.parent.is_some_and(|p| p.level() == UnitLevel::District)) {
            former.entry(edge.to_code).or_default().push(old);
        }
    }
    former
}

/// Name, district and province of a former unit, if they lead to the office with and without
/// their marks.
fn words(
    registry: &Registry,
    directory: &Directory,
    old: &Unit,
    office: OfficeId,
    today: Date,
) -> Option<(String, String, String)> {
    let named = |code: UnitCode| {
        registry.units.iter().find(|u| u.code == code && (u.valid_to == old.valid_to || u.valid_from.is_none()))
    };
    let words = (old.name.clone(), named(old.parent?)?.name.clone(), named(old.province)?.name.clone());
    let leads = |(n, d, p): (String, String, String)| {
        let home = HomeWords { name: n, district: Some(d), province: Some(p), as_of: None };
        matches!(directory.resolve(&HomeRef::Words(home), today), Resolution::Unique(home) if home.office == office)
    };
    let plain = (name::bare(&words.0), name::bare(&words.1), name::bare(&words.2));
    (leads(words.clone()) && leads(plain)).then_some(words)
}

/// A code and a day that may mean several of today's units.
pub(crate) fn ambiguous(registry: &Registry, directory: &Directory) -> Option<(String, Date)> {
    let as_of = registry.record_begins;
    let today = local_date(start());
    registry.successions.iter().filter(|e| !e.detail.is_whole()).map(|e| e.from_code).find_map(|code| {
        let found = directory.resolve(&HomeRef::Code(UnitRef { code, as_of }), today);
        matches!(found, Resolution::Ambiguous(_)).then(|| (code.to_string(), as_of))
    })
}

/// Who plays in the stories: some communes of one province, and everybody above them.
pub(crate) fn cast(registry: &Registry) -> Vec<OfficeId> {
    let directory = registry.directory();
    let homes = all(registry, &directory);
    let Some(province) = homes.iter().find(|h| h.is_home() && h.old_words.is_some()).map(|h| h.province.clone()) else {
        return Vec::new();
    };
    let province =
        if homes.iter().any(|h| h.province == "01" && h.old_words.is_some()) { "01".to_owned() } else { province };
    let communes = homes.iter().filter(|h| h.is_home() && h.province == province).take(CAST);
    let above = homes.iter().filter(|h| !h.is_home() && (h.province == province || h.province.is_empty()));
    let mut cast: Vec<OfficeId> = communes.chain(above).map(|h| h.office).collect();
    // The third story picks one of these.
    if let Some((code, as_of)) = ambiguous(registry, &directory)
        && let Ok(code) = code.parse()
        && let Resolution::Ambiguous(candidates) =
            directory.resolve(&HomeRef::Code(UnitRef { code, as_of }), local_date(start()))
    {
        cast.extend(candidates.into_iter().map(|c| c.office));
    }
    cast.sort_unstable();
    cast.dedup();
    cast
}
