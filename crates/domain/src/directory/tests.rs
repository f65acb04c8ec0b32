//! A small country: one city of two districts, a neighbour that joined it. The real one is tested
//! where it is read, in the registry.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test that panics has failed, as it should")]

use jiff::civil::date;

use super::*;
use crate::unit::UnitType;

fn code(text: &str) -> UnitCode {
    text.parse().unwrap()
}

fn office_id(n: u32) -> OfficeId {
    format!("vpaaaa{}{}", if n < 8 { 'a' } else { 'b' }, n % 8 + 2).parse().unwrap()
}

const END: Date = date(2020, 6, 30);
const START: Date = date(2020, 7, 1);
const NOW: Date = date(2021, 1, 1);

fn directory() -> Directory {
    let unit = |c: &str, name: &str, parent: &str, province: &str, now: bool| Unit {
        code: code(c),
        name: name.into(),
        unit_type: UnitType::ALL.into_iter().find(|t| name.starts_with(t.title())).unwrap(),
        parent: (!parent.is_empty()).then(|| code(parent)),
        province: code(province),
        valid_from: now.then_some(START),
        valid_to: (!now).then_some(END),
    };
    let units = vec![
        unit("01", "Tỉnh Hà Đông", "", "01", false),
        unit("02", "Tỉnh Hòa Bình", "", "02", false),
        unit("01", "Thành phố Hà Đông", "", "01", true),
        unit("001", "Quận Một", "01", "01", false),
        unit("002", "Huyện Hai", "01", "01", false),
        unit("003", "Huyện Đảo Xa", "02", "02", false),
        unit("00001", "Phường Tân An", "001", "01", false),
        unit("00002", "Phường 9", "001", "01", false),
        unit("00003", "Xã Tân An", "002", "01", false),
        unit("00004", "Xã Hòa Lợi", "002", "02", false),
        unit("00005", "Xã Hoa Lợi", "002", "01", false),
        unit("00001", "Phường Tân An", "01", "01", true),
        unit("00002", "Phường Chín", "01", "01", true),
        unit("00003", "Xã Lợi", "01", "01", true),
        unit("00009", "Đặc khu Đảo Xa", "01", "01", true),
    ];
    let edge = |from: &str, to: &str, detail| Succession {
        from_code: code(from),
        to_code: code(to),
        effective: START,
        detail,
    };
    use SuccessionDetail::{AllPopulation, AreaOnly, MergedWhole, Part, Whole};
    let successions = vec![
        edge("01", "01", Whole),
        edge("02", "01", Whole),
        edge("003", "00009", Whole),
        edge("00001", "00001", Part),
        edge("00001", "00002", Part),
        edge("00001", "00003", AreaOnly),
        edge("00002", "00002", MergedWhole),
        edge("00003", "00003", AllPopulation),
        edge("00003", "00001", Part),
        edge("00004", "00003", MergedWhole),
        edge("00005", "00003", AreaOnly),
    ];
    let communes = ["00001", "00002", "00003"];
    let office = |n: u32, kind, province: Option<&str>| Office {
        id: office_id(n),
        name: format!("Công an {n}"),
        kind,
        province: province.map(code),
        phone: None,
        fallback_phone: None,
        opening_hours: "08:00-12:00".parse().unwrap(),
    };
    let mut offices = vec![office(8, OfficeKind::ProvinceUnit, Some("01")), office(9, OfficeKind::MinistryUnit, None)];
    offices.extend((0..3).map(|n| office(n, OfficeKind::CommunePolice, Some("01"))));
    let serves =
        |n: u32, served| OfficeServes { office: office_id(n), served, valid_from: Some(START), valid_to: None };
    let mut rows = vec![
        serves(8, Served::Province(code("01"))),
        serves(8, Served::Commune(code("00009"))),
        serves(9, Served::Nation),
    ];
    rows.extend((0..3).zip(communes).map(|(n, c)| serves(n, Served::Commune(code(c)))));
    let variants = vec![NameVariant { code: code("00002"), name: "Phường Chợ Lớn".into(), valid_to: END }];
    Directory::new(DirectoryParts {
        units,
        successions,
        variants,
        offices,
        serves: rows,
        record_begins: date(2020, 1, 1),
    })
}

fn by_code(c: &str, as_of: Date) -> Resolution {
    directory().resolve(&HomeRef::Code(UnitRef { code: code(c), as_of }), NOW)
}

fn by_words(name: &str, district: Option<&str>, province: Option<&str>, as_of: Option<Date>) -> Resolution {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let words = HomeWords { name: name.into(), district: owned(district), province: owned(province), as_of };
    directory().resolve(&HomeRef::Words(words), NOW)
}

fn unique(resolution: &Resolution) -> (&str, &[ResolveWarning]) {
    match resolution {
        Resolution::Unique(home) => (home.unit.as_str(), &home.warnings),
        other => panic!("not unique: {other:?}"),
    }
}

fn candidates(resolution: &Resolution) -> Vec<&str> {
    match resolution {
        Resolution::Ambiguous(all) => all.iter().map(|c| c.unit.as_str()).collect(),
        other => panic!("not ambiguous: {other:?}"),
    }
}

#[test]
fn a_code_means_its_unit_of_the_day() {
    assert_eq!(unique(&by_code("00002", END)), ("00002", &[][..]));
    assert_eq!(unique(&by_code("00001", NOW)), ("00001", &[][..]));
    assert_eq!(unique(&by_code("00004", END)), ("00003", &[][..]));
    assert_eq!(by_code("00004", NOW), Resolution::Unknown);
    assert_eq!(by_code("00007", END), Resolution::Unknown);
}

#[test]
fn a_split_unit_is_never_guessed() {
    let split = by_code("00001", END);
    assert_eq!(candidates(&split), ["00001", "00002"], "land without people is no candidate");
    let Resolution::Ambiguous(all) = split else { unreachable!() };
    assert_eq!(all[1].share, Some(SuccessionDetail::Part));
    assert_eq!(
        (all[1].words.as_str(), all[1].province.as_str()),
        ("phường Chín, thành phố Hà Đông", "Thành phố Hà Đông")
    );
    assert_eq!((all[1].office, all[1].office_name.as_str()), (office_id(1), "Công an 1"));
}

#[test]
fn all_people_in_one_successor_resolve_alone() {
    assert_eq!(unique(&by_code("00003", END)).0, "00003");
    assert_eq!(unique(&by_code("00005", END)).0, "00003", "land is taken when there is nothing else");
}

#[test]
fn a_day_before_the_record_is_its_first_day() {
    assert_eq!(unique(&by_code("00002", date(1999, 1, 1))), ("00002", &[ResolveWarning::BeforeRecord][..]));
    assert_eq!(by_code("00002", date(2021, 1, 2)), Resolution::AsOfInFuture);
}

#[test]
fn words_with_a_district_are_old() {
    let former = &[ResolveWarning::FormerName][..];
    assert_eq!(unique(&by_words("P. 09", Some("Q.Một"), Some("Hà Đông"), None)), ("00002", former));
    assert_eq!(unique(&by_words("phuong 9", Some("quan mot"), None, None)), ("00002", former));
    assert_eq!(unique(&by_words("P9", None, None, Some(END))), ("00002", former));
    assert_eq!(unique(&by_words("Chợ Lớn", None, None, None)), ("00002", former));
    assert_eq!(unique(&by_words("Tân An", Some("Huyện Hai"), None, None)), ("00003", former));
    assert_eq!(candidates(&by_words("Tân An", Some("Quận Một"), None, Some(NOW))), ["00001", "00002"]);
    assert_eq!(by_words("Tân An", Some("Quận Ba"), None, None), Resolution::Unknown);
}

#[test]
fn a_type_narrows() {
    assert_eq!(unique(&by_words("xã Tân An", None, None, None)).0, "00003");
    assert_eq!(candidates(&by_words("Tân An", None, None, None)), ["00001", "00002", "00003"]);
    assert_eq!(unique(&by_words("phường tân an", None, Some("TP. Hà Đông"), Some(NOW))), ("00001", &[][..]));
    assert_eq!(by_words("thị trấn Tân An", None, None, None), Resolution::Unknown);
}

#[test]
fn marks_win_and_their_place_does_not_count() {
    assert_eq!(unique(&by_words("Hoà Lợi", None, None, Some(END))).0, "00003");
    let directory = directory();
    let meant = |name: &str| {
        let words = HomeWords { name: name.into(), as_of: Some(END), ..HomeWords::default() };
        directory
            .rows_named(&words, NOW)
            .into_iter()
            .map(|row| directory.unit(row).code.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(meant("Hoà Lợi"), ["00004"]);
    assert_eq!(meant("Hoa Lợi"), ["00005"]);
    assert_eq!(meant("hoa loi"), ["00004", "00005"]);
}

#[test]
fn a_province_is_known_by_its_old_name_too() {
    assert_eq!(unique(&by_words("Lợi", None, Some("tỉnh Hòa Bình"), None)).0, "00003");
    assert_eq!(by_words("Chín", None, Some("Hòa Bình"), None), Resolution::Unknown);
    assert_eq!(unique(&by_words("Hòa Lợi", None, Some("Thành phố Hà Đông"), None)).0, "00003");
}

#[test]
fn an_island_district_became_a_unit() {
    assert_eq!(unique(&by_code("003", END)).0, "00009");
    assert_eq!(unique(&by_words("huyện Đảo Xa", None, None, None)), ("00009", &[ResolveWarning::FormerName][..]));
    let Resolution::Unique(home) = by_words("Đảo Xa", None, None, None) else { panic!() };
    assert_eq!(home.office, office_id(8));
    assert_eq!(by_code("001", END), Resolution::Unknown);
}

#[test]
fn a_unit_without_an_office_is_unknown() {
    let home = HomeRef::Code(UnitRef { code: code("00001"), as_of: END });
    assert_eq!(directory().resolve(&home, END), Resolution::Unknown);
}

#[test]
fn the_ladder_skips_the_office_itself() {
    let directory = directory();
    let above = |n| directory.superiors(&office_id(n), NOW).into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    assert_eq!(above(0), [office_id(8), office_id(9)]);
    assert_eq!(above(8), [office_id(9)]);
    assert_eq!(above(9), []);
    assert_eq!(directory.superiors(&office_id(0), END), []);
    assert_eq!(directory.units_of(&office_id(8), NOW).len(), 2);
    assert_eq!(directory.office_serving(&code("00009"), NOW).unwrap().id, office_id(8));
    assert_eq!(directory.communes(NOW).count(), 4);
    assert_eq!((directory.province_of(&office_id(0)), directory.province_of(&office_id(9))), (Some(code("01")), None));
}

#[test]
fn an_address_tells_then_and_now() {
    let directory = directory();
    let words = |c: &str, as_of| directory.address_words(&UnitRef { code: code(c), as_of }, NOW);
    assert_eq!(words("00004", END), "xã Hòa Lợi, huyện Hai, tỉnh Hòa Bình (nay là xã Lợi, thành phố Hà Đông)");
    assert_eq!(
        words("00001", END),
        "phường Tân An, quận Một, tỉnh Hà Đông (nay thuộc phường Tân An, thành phố Hà Đông hoặc phường Chín, thành phố Hà Đông)"
    );
    assert_eq!(words("00001", NOW), "phường Tân An, thành phố Hà Đông");
    assert_eq!(words("00008", NOW), "00008");
}
