//! The data of this repository: they load, they count up to what `SOURCES.md` says, and homes are
//! found in them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics has failed, as it should"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::civil::date;
use xacminh_domain::Date;
use xacminh_domain::deadline::{Deadline, TimeLimit};
use xacminh_domain::directory::{Directory, HomeRef, HomeWords, Resolution, ResolveWarning};
use xacminh_domain::name::marked;
use xacminh_domain::office::{OfficeKind, Served};
use xacminh_domain::request::RequestKind;
use xacminh_domain::rules::{RungTarget, Trigger};
use xacminh_domain::unit::{SuccessionDetail, Unit, UnitCode, UnitLevel, UnitRef, UnitType};
use xacminh_registry::Registry;

const NOW: Date = date(2026, 11, 24);
const LAST_DAY_OF_DISTRICTS: Date = date(2025, 6, 30);

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::load(&data()).unwrap());
static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| REGISTRY.directory());

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")
}

fn code(text: &str) -> UnitCode {
    text.parse().unwrap()
}

fn by_code(text: &str, as_of: Date) -> Resolution {
    DIRECTORY.resolve(&HomeRef::Code(UnitRef { code: code(text), as_of }), NOW)
}

fn by_words(name: &str, district: &str, province: &str, as_of: Option<Date>) -> Resolution {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let words = HomeWords { name: name.into(), district: some(district), province: some(province), as_of };
    DIRECTORY.resolve(&HomeRef::Words(words), NOW)
}

fn unit_of(resolution: &Resolution) -> &str {
    match resolution {
        Resolution::Unique(home) => home.unit.as_str(),
        other => panic!("not unique: {other:?}"),
    }
}

fn units_of(resolution: &Resolution) -> Vec<&str> {
    match resolution {
        Resolution::Ambiguous(candidates) => candidates.iter().map(|c| c.unit.as_str()).collect(),
        other => panic!("not ambiguous: {other:?}"),
    }
}

fn communes(on: Date) -> Vec<&'static Unit> {
    DIRECTORY.communes(on).collect()
}

#[test]
fn the_counts_are_those_of_the_sources() {
    let counted = |on: Date| {
        let of =
            |level: UnitLevel| REGISTRY.units.iter().filter(|u| u.code.level() == level && u.is_valid_on(on)).count();
        let typed = |t: UnitType| REGISTRY.units.iter().filter(|u| u.unit_type == t && u.is_valid_on(on)).count();
        let cities = REGISTRY.units.iter().filter(|u| {
            u.code.level() == UnitLevel::Province && u.unit_type == UnitType::ThanhPho && u.is_valid_on(on)
        });
        (
            (of(UnitLevel::Province), cities.count(), of(UnitLevel::District), of(UnitLevel::Commune)),
            [UnitType::Xa, UnitType::Phuong, UnitType::ThiTran, UnitType::DacKhu].map(typed),
        )
    };
    assert_eq!(counted(LAST_DAY_OF_DISTRICTS), ((63, 6, 696, 10_035), [7_691, 1_727, 617, 0]));
    assert_eq!(counted(date(2025, 7, 1)), ((34, 6, 0, 3_321), [2_621, 687, 0, 13]));
    assert_eq!(counted(date(2026, 4, 30)), ((34, 7, 0, 3_321), [2_611, 697, 0, 13]));
    assert_eq!(counted(date(2026, 9, 1)), ((34, 8, 0, 3_321), [2_611, 697, 0, 13]));
    assert_eq!(counted(date(2026, 9, 20)), ((34, 9, 0, 3_321), [2_599, 709, 0, 13]));
    let edges = |on: Date| {
        REGISTRY.successions.iter().filter(move |s| s.effective == on && s.from_code.level() == UnitLevel::Commune)
    };
    assert_eq!(edges(date(2025, 7, 1)).count(), 10_566);
    assert_eq!(edges(date(2025, 7, 1)).filter(|s| s.detail.is_whole()).count(), 9_594);
    assert_eq!((edges(date(2026, 4, 30)).count(), edges(date(2026, 9, 20)).count()), (10, 12));
    assert_eq!(REGISTRY.variants.len(), 187 + 3);
    assert_eq!(REGISTRY.version, "2026-11-26.2");
}

#[test]
fn the_offices_are_those_of_the_sources() {
    let of = |kind: OfficeKind| REGISTRY.offices.iter().filter(|o| o.office.kind == kind).count();
    assert_eq!([OfficeKind::CommunePolice, OfficeKind::ProvinceUnit, OfficeKind::MinistryUnit].map(of), [3_319, 34, 1]);
    assert!(REGISTRY.offices.iter().all(|o| o.phone_source == "made_up" && o.office.phone.is_some()));
    for island in ["20333", "31105"] {
        let office = DIRECTORY.office_serving(&code(island), NOW).unwrap();
        assert_eq!(office.kind, OfficeKind::ProvinceUnit);
        assert_eq!(office.province, DIRECTORY.unit_at(&code(island), NOW).map(|u| u.province));
    }
    let office = DIRECTORY.office_serving(&code("00004"), NOW).unwrap();
    assert_eq!(office.name, "Công an phường Ba Đình");
    let above = DIRECTORY.superiors(&office.id, NOW);
    assert_eq!(
        above.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [OfficeKind::ProvinceUnit, OfficeKind::MinistryUnit]
    );
    let pc06 = DIRECTORY.office(&above[0].1).unwrap();
    assert_eq!(pc06.name, "Phòng Cảnh sát quản lý hành chính về trật tự xã hội Công an thành phố Hà Nội");
    assert_eq!(office.fallback_phone, pc06.phone);
    assert_eq!(DIRECTORY.superiors(&pc06.id, NOW), above[1..]);
}

#[test]
fn every_commune_of_today_resolves_to_its_own_office() {
    for unit in communes(NOW) {
        let home = by_code(unit.code.as_str(), NOW);
        assert_eq!(unit_of(&home), unit.code.as_str());
        let served = REGISTRY.serves.iter().filter(|s| s.served == Served::Commune(unit.code)).count();
        assert_eq!(served, 1);
    }
}

#[test]
fn every_former_commune_resolves_or_is_ambiguous() {
    let (mut one, mut several) = (0, 0);
    for unit in communes(LAST_DAY_OF_DISTRICTS) {
        match by_code(unit.code.as_str(), LAST_DAY_OF_DISTRICTS) {
            Resolution::Unique(_) => one += 1,
            Resolution::Ambiguous(candidates) => {
                assert!((2..=5).contains(&candidates.len()));
                several += 1;
            }
            other => panic!("{unit:?}: {other:?}"),
        }
    }
    // 9,594 had one successor; of the 441 that were split, 58 sent all their people to one, and
    // others shared out nothing but empty land.
    assert_eq!(one + several, 10_035);
    assert!(one >= 9_594 + 58 && several > 300, "{one} {several}");
}

#[test]
fn a_commune_merged_whole_is_found() {
    // Phúc Xá went whole into Hồng Hà.
    let home = by_code("00001", LAST_DAY_OF_DISTRICTS);
    assert_eq!(unit_of(&home), "00097");
    let Resolution::Unique(home) = home else { unreachable!() };
    assert_eq!((home.name.as_str(), home.warnings.as_slice()), ("Phường Hồng Hà", &[][..]));
    assert_eq!(DIRECTORY.office(&home.office).unwrap().name, "Công an phường Hồng Hà");
    let unit = UnitRef { code: code("00001"), as_of: LAST_DAY_OF_DISTRICTS };
    let words = "phường Phúc Xá, quận Ba Đình, thành phố Hà Nội (nay là phường Hồng Hà, thành phố Hà Nội)";
    assert_eq!(DIRECTORY.address_words(&unit, NOW), words);
    let today = UnitRef { code: code("00008"), as_of: NOW };
    assert_eq!(DIRECTORY.address_words(&today, NOW), "phường Ngọc Hà, thành phố Hà Nội");
}

#[test]
fn a_split_commune_lists_all_its_heirs() {
    // Cống Vị was shared out between two.
    let home = by_code("00007", LAST_DAY_OF_DISTRICTS);
    assert_eq!(units_of(&home), ["00008", "00025"]);
    let Resolution::Ambiguous(candidates) = home else { unreachable!() };
    assert!(candidates.iter().all(|c| c.share == Some(SuccessionDetail::Part) && c.province == "Thành phố Hà Nội"));
    assert_eq!(candidates[0].words, "phường Ngọc Hà, thành phố Hà Nội");
    // The land of Kỳ Lợi went to one, its people to two others: two candidates.
    assert_eq!(units_of(&by_code("18796", LAST_DAY_OF_DISTRICTS)), ["18754", "18832"]);
}

#[test]
fn all_people_in_one_heir_need_no_question() {
    let all: Vec<_> = REGISTRY.successions.iter().filter(|s| s.detail == SuccessionDetail::AllPopulation).collect();
    assert_eq!(all.len(), 58);
    for edge in all {
        assert_eq!(unit_of(&by_code(edge.from_code.as_str(), LAST_DAY_OF_DISTRICTS)), edge.to_code.as_str());
    }
}

#[test]
fn an_old_address_is_found_by_its_words() {
    let former = |home: Resolution| {
        let Resolution::Unique(home) = home else { panic!("{home:?}") };
        assert_eq!(home.warnings, [ResolveWarning::FormerName]);
        home.unit.to_string()
    };
    for (name, district, province) in [
        ("Phường Phúc Xá", "Quận Ba Đình", "Thành phố Hà Nội"),
        ("phuc xa", "ba dinh", "ha noi"),
        ("P. Phúc Xá", "Q. Ba Đình", "TP. Hà Nội"),
        ("PHÚC XÁ", "Q.BA ĐÌNH", ""),
    ] {
        assert_eq!(former(by_words(name, district, province, None)), "00097", "{name}");
    }
    let ward_9 = former(by_words("P.9", "Quận 3", "TP.HCM", None));
    for name in ["Phường 9", "Phường 09", "p 9", "P9"] {
        assert_eq!(former(by_words(name, "Q3", "tphcm", None)), ward_9);
    }
    // The seat of a district of Hà Giang, a province that is part of Tuyên Quang now.
    assert_eq!(
        former(by_words("TT. Yên Minh", "huyện Yên Minh", "Hà Giang", None)),
        former(by_words("yen minh", "yen minh", "tuyen quang", Some(date(2025, 5, 1))))
    );
    // The mark on the other vowel.
    assert_eq!(
        by_words("xã Hoà Lợi", "", "Hồ Chí Minh", Some(LAST_DAY_OF_DISTRICTS)),
        by_words("xã Hòa Lợi", "", "Hồ Chí Minh", Some(LAST_DAY_OF_DISTRICTS))
    );
    // A spelling of the conversion table only.
    let variant = &REGISTRY.variants[0];
    let home = by_words(&variant.name, "", "", Some(variant.valid_to));
    assert_eq!(home, with_former_name(by_code(variant.code.as_str(), variant.valid_to)));
}

fn with_former_name(home: Resolution) -> Resolution {
    match home {
        Resolution::Unique(mut home) => {
            home.warnings.push(ResolveWarning::FormerName);
            Resolution::Unique(home)
        }
        other => other,
    }
}

#[test]
fn a_name_that_several_bear_is_ambiguous() {
    assert!(units_of(&by_words("Tân An", "", "", None)).len() >= 10);
    assert_eq!(by_words("Không Có Đâu", "", "", None), Resolution::Unknown);
    assert_eq!(by_code("99999", NOW), Resolution::Unknown);
    assert_eq!(by_code("00004", date(2027, 1, 1)), Resolution::AsOfInFuture);
}

#[test]
fn a_reused_code_means_its_unit_of_the_day() {
    // 00008 was Liễu Giai; the ward of that code is called Ngọc Hà now, which once was 00016.
    let name = |on| DIRECTORY.unit_at(&code("00008"), on).unwrap().name.as_str();
    assert_eq!((name(LAST_DAY_OF_DISTRICTS), name(NOW)), ("Phường Liễu Giai", "Phường Ngọc Hà"));
    assert_ne!(by_code("00016", LAST_DAY_OF_DISTRICTS), by_code("00008", NOW));
    // And some codes passed to a unit that has nothing of the former one.
    let apart = communes(LAST_DAY_OF_DISTRICTS).into_iter().find(|unit| {
        DIRECTORY.unit_at(&unit.code, NOW).is_some()
            && matches!(by_code(unit.code.as_str(), LAST_DAY_OF_DISTRICTS), Resolution::Unique(home) if home.unit != unit.code)
    });
    let unit = apart.expect("codes given to another unit altogether");
    assert_eq!(unit_of(&by_code(unit.code.as_str(), NOW)), unit.code.as_str());
}

#[test]
fn before_the_record_its_first_day_is_taken() {
    let Resolution::Unique(home) = by_code("00001", date(2010, 5, 5)) else { panic!() };
    assert_eq!((home.unit, home.warnings.as_slice()), (code("00097"), &[ResolveWarning::BeforeRecord][..]));
}

#[test]
fn a_former_island_district_is_a_home() {
    for (island, zone) in [("536", "21548"), ("755", "26732"), ("498", "20333")] {
        assert_eq!(unit_of(&by_code(island, LAST_DAY_OF_DISTRICTS)), zone);
    }
    assert_eq!(unit_of(&by_words("huyện đảo Lý Sơn", "", "Quảng Ngãi", None)), "21548");
    assert_eq!(unit_of(&by_words("Lý Sơn", "", "", None)), "21548");
}

#[test]
fn most_addresses_of_today_need_no_day() {
    let (mut dated, mut undated) = (0, 0);
    let all = communes(NOW);
    for unit in &all {
        let province = &DIRECTORY.unit_at(&unit.province, NOW).unwrap().name;
        let own = |home: &Resolution| matches!(home, Resolution::Unique(home) if home.unit == unit.code);
        assert!(own(&by_words(&unit.name, "", province, Some(NOW))), "{}", unit.name);
        dated += 1;
        let home = by_words(&unit.name, "", province, None);
        // Without a day it may be ambiguous, but never another unit.
        assert!(!matches!(&home, Resolution::Unique(home) if home.unit != unit.code), "{}", unit.name);
        undated += usize::from(own(&home));
    }
    eprintln!("{undated} of {dated} full names are unique in their province without a day");
    assert!(undated * 10 > all.len() * 8, "{undated} of {}", all.len());
}

#[test]
fn the_reused_codes_are_recomputed() {
    let mut by_code: BTreeMap<UnitCode, Vec<&Unit>> = BTreeMap::new();
    for unit in &REGISTRY.units {
        by_code.entry(unit.code).or_default().push(unit);
    }
    // On the day districts ended, with another name: whether what is in the same code's unit now
    // is all of it.
    let shares: HashMap<_, _> =
        REGISTRY.successions.iter().map(|s| ((s.from_code, s.to_code, s.effective), s.detail)).collect();
    let mut computed = BTreeSet::new();
    for units in by_code.values() {
        for pair in units.windows(2).filter(|pair| pair[0].valid_to == Some(LAST_DAY_OF_DISTRICTS)) {
            let [old, new] = pair else { unreachable!() };
            if marked(old.bare_name()) != marked(new.bare_name()) {
                let share = shares.get(&(old.code, new.code, new.valid_from.unwrap()));
                let word = if share.is_some_and(|s| s.is_whole()) { "whole" } else { "part" };
                computed.insert([old.code.level().as_str(), old.code.as_str(), &old.name, &new.name, word].join(","));
            }
        }
    }
    let written: BTreeSet<_> = std::fs::read_to_string(data().join("units/reused-codes.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    assert_eq!(written.iter().filter(|line| line.starts_with("commune")).count(), 1_823);
    assert_eq!(computed.difference(&written).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(written.difference(&computed).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_examples_of_the_handbook_hold_on_the_real_calendar() {
    let calendar = REGISTRY.calendar();
    let rules = REGISTRY.legal_rules();
    let file = |received: Date| {
        let limit = rules.file_clock(RequestKind::TempResidence.as_str(), received).unwrap();
        Deadline::count(&calendar, received, limit).on
    };
    assert_eq!(file(date(2026, 11, 20)), date(2026, 11, 26));
    assert_eq!(file(date(2026, 8, 20)), date(2026, 8, 24));
    assert_eq!(file(date(2026, 8, 27)), date(2026, 9, 4));
    for delivered in [date(2026, 11, 20), date(2026, 11, 21)] {
        let due = |limit: TimeLimit| Deadline::count(&calendar, delivered, limit).on;
        assert_eq!(due(rules.accept_limit(delivered).unwrap()), date(2026, 11, 23));
        assert_eq!(due(rules.answer_limit(delivered).unwrap()), date(2026, 11, 25));
    }
    let worked = |year: i16| calendar.working_days_between(date(year - 1, 12, 31), date(year, 12, 31));
    assert_eq!([2024, 2025, 2026, 2027].map(worked), [251, 250, 249, 249]);
    assert!(!calendar.is_provisional(NOW) && calendar.is_provisional(date(2027, 3, 1)));
    assert_eq!(calendar.version().as_str(), REGISTRY.version);
}

#[test]
fn limits_and_rungs_are_dated() {
    let rules = REGISTRY.legal_rules();
    let file = |kind: RequestKind| rules.file_clock(kind.as_str(), NOW);
    assert_eq!(file(RequestKind::PermTransfer), Some(TimeLimit::WorkingDays(7)));
    assert_eq!(file(RequestKind::NoResidence), Some(TimeLimit::WorkingDays(5)));
    assert_eq!(file(RequestKind::DwellingStatus), None);
    assert_eq!(file(RequestKind::IdentityConflict), None);
    assert_eq!((rules.not_received_minutes(NOW), rules.exempt_under_age(NOW)), (Ok(240), Ok(6)));
    let ladder = REGISTRY.ladder();
    let above = |on| {
        ladder
            .rows_at(on)
            .filter(|r| r.trigger == Trigger::AnswerDue)
            .map(|r| (r.rung, r.target, r.after_wd))
            .collect::<Vec<_>>()
    };
    use RungTarget::{DistrictPolice, MinistryUnit, ProvinceUnit};
    assert_eq!(above(date(2025, 2, 28)), [(1, DistrictPolice, 0), (2, ProvinceUnit, 1), (3, MinistryUnit, 2)]);
    assert_eq!(above(date(2025, 3, 1)), [(1, ProvinceUnit, 0), (2, MinistryUnit, 1)]);
    assert_eq!(ladder.rows_at(NOW).count(), 9);
}

#[test]
fn the_same_files_have_the_same_digest() {
    assert_eq!(Registry::load(&data()).unwrap().digest, REGISTRY.digest);
}

#[test]
fn loading_and_resolving_are_quick() {
    let start = std::time::Instant::now();
    let registry = Registry::load(&data()).unwrap();
    let loaded = start.elapsed();
    let directory = registry.directory();
    let built = start.elapsed() - loaded;
    let start = std::time::Instant::now();
    for unit in &registry.units {
        let on = unit.valid_to.unwrap_or(NOW);
        directory.resolve(&HomeRef::Code(UnitRef { code: unit.code, as_of: on }), NOW);
    }
    let resolved = start.elapsed();
    eprintln!("loaded in {loaded:?}, indexed in {built:?}, {} resolved in {resolved:?}", registry.units.len());
    // Generous: a busy machine and no optimisation.
    assert!(loaded.as_secs() < 5 && resolved.as_secs() < 5);
}
