//! Data with one fault each: refused, with the place of the fault.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics has failed, as it should"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use xacminh_registry::{Error, Registry};

/// A copy of the data that goes away with the test.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xacminh-registry-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let copy = Self(std::env::temp_dir().join(name));
        copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data"), &copy.0);
        copy
    }

    fn load(&self) -> Result<Registry, Error> {
        Registry::load(&self.0)
    }

    fn change(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed, "nothing was changed");
        fs::write(path, changed).unwrap();
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Replaces one text by another in a file of a copy and says where the fault is found, with the
/// line as it stands in the changed file.
fn fault(file: &str, from: &str, to: &str) -> (String, String, String) {
    let copy = Copy::new();
    copy.change(file, |text| text.replacen(from, to, 1));
    place(&copy)
}

fn place(copy: &Copy) -> (String, String, String) {
    let error = copy.load().expect_err("it should be refused");
    let (file, line, column) = error.place().unwrap_or_else(|| panic!("no place: {error}"));
    let text = fs::read(copy.0.join(file)).unwrap();
    let line = String::from_utf8_lossy(&text).lines().nth(usize::try_from(line).unwrap() - 1).unwrap().to_owned();
    (file.to_owned(), line, column.to_owned())
}

fn at(file: &str, line: &str, column: &str) -> (String, String, String) {
    (file.to_owned(), line.to_owned(), column.to_owned())
}

#[test]
fn a_whole_copy_loads() {
    Copy::new().load().unwrap();
}

#[test]
fn a_change_changes_the_digest() {
    let copy = Copy::new();
    let before = copy.load().unwrap().digest;
    copy.change("rules/legal_rules.csv", |text| text.replace("house rule", "rule of the house"));
    assert_ne!(copy.load().unwrap().digest, before);
}

#[test]
fn a_missing_file_is_named() {
    let copy = Copy::new();
    fs::remove_file(copy.0.join("units/districts.csv")).unwrap();
    let error = copy.load().unwrap_err();
    assert_eq!(error.to_string(), "units/districts.csv cannot be read");
}

#[test]
fn form_is_checked_before_meaning() {
    let communes = "units/communes.csv";
    assert_eq!(
        fault(communes, "code,name", "Code,name"),
        at(communes, "Code,name,kind,parent_code,province_code,valid_from,valid_to", "header")
    );
    assert_eq!(
        fault(communes, "00001,Phường Phúc Xá,phuong,001,01,,", "00001,Phường Phúc Xá,phuong,001,01,"),
        at(communes, "00001,Phường Phúc Xá,phuong,001,01,2025-06-30", "valid_to")
    );
    assert_eq!(fault("VERSION", "2026-11-26.2", "latest"), at("VERSION", "latest", "byte 1"));
    let copy = Copy::new();
    copy.change(communes, |text| text.replacen('\n', "\r\n", 1));
    assert!(matches!(copy.load().unwrap_err().place(), Some(("units/communes.csv", 1, "byte 61"))));
    let copy = Copy::new();
    let path = copy.0.join(communes);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"\xff\n");
    fs::write(path, &bytes).unwrap();
    let error = copy.load().unwrap_err();
    assert!(error.to_string().contains("line 13380, column byte 1: not UTF-8"), "{error}");
}

#[test]
fn a_value_must_be_what_its_column_says() {
    let communes = "units/communes.csv";
    let whole = "00001,Phường Phúc Xá,phuong,001,01,,2025-06-30";
    for (broken, column) in [
        ("1,Phường Phúc Xá,phuong,001,01,,2025-06-30", "code"),
        ("001,Phường Phúc Xá,phuong,001,01,,2025-06-30", "code"),
        ("00001,Phúc Xá,phuong,001,01,,2025-06-30", "name"),
        ("00001,Phường Phúc Xá ,phuong,001,01,,2025-06-30", "name"),
        ("00001,Phường Phu\u{301}c Xá,phuong,001,01,,2025-06-30", "name"),
        ("00001,Phường Phúc Xá,quan,001,01,,2025-06-30", "kind"),
        ("00001,Phường Phúc Xá,phuong,00004,01,,2025-06-30", "parent_code"),
        ("00001,Phường Phúc Xá,phuong,001,01,,2025-06-31", "valid_to"),
        ("00001,Phường Phúc Xá,phuong,001,01,2025-07-01,2025-06-30", "valid_to"),
    ] {
        assert_eq!(fault(communes, whole, broken), at(communes, broken, column));
    }
    let offices = "offices/offices.csv";
    let whole = "vptaweta,Công an phường Ba Đình,commune_police,01,0000 000 004,08:00-12:00;13:00-17:00,0000 900 001,made_up,2025-07-01,";
    for (from, to, column) in [
        ("vptaweta", "vptawet1", "office_id"),
        ("commune_police", "police", "kind"),
        ("08:00-12:00;", "8-12;", "opening_hours"),
        (",01,", ",,", "province_code"),
    ] {
        let broken = whole.replacen(from, to, 1);
        assert_eq!(fault(offices, whole, &broken), at(offices, &broken, column));
    }
    let broken = whole.replace("0000 000 004", "").replace("0000 900 001", "");
    assert_eq!(fault(offices, whole, &broken), at(offices, &broken, "phone"));
}

#[test]
fn units_fit_together() {
    let communes = "units/communes.csv";
    let current = "00004,Phường Ba Đình,phuong,01,01,2025-07-01,";
    // Two rows of one code at once: either may be the one named, as both begin before the other ends.
    let (file, line, column) = fault(
        communes,
        "00004,Phường Trúc Bạch,phuong,001,01,,2025-06-30",
        "00004,Phường Trúc Bạch,phuong,001,01,,2025-07-01",
    );
    assert_eq!((file.as_str(), line.as_str(), column.as_str()), (communes, current, "valid_from"));
    let broken = "00001,Phường Phúc Xá,phuong,999,01,,2025-06-30";
    assert_eq!(
        fault(communes, "00001,Phường Phúc Xá,phuong,001,01,,2025-06-30", broken),
        at(communes, broken, "parent_code")
    );
    // The district would have to go on with its commune.
    let districts = "units/districts.csv";
    let (file, line, column) =
        fault(districts, "001,Quận Ba Đình,quan,01,,2025-06-30", "001,Quận Ba Đình,quan,01,,2025-06-29");
    assert_eq!(
        (file.as_str(), line.as_str(), column.as_str()),
        (communes, "00001,Phường Phúc Xá,phuong,001,01,,2025-06-30", "parent_code")
    );
    let (file, _, column) = fault(communes, "00008,Phường Ngọc Hà,", "00008,Phường Ba Đình,");
    assert_eq!((file.as_str(), column.as_str()), (communes, "name"));
}

#[test]
fn successions_lead_from_an_end_to_a_beginning() {
    let detail = "units/successions-detail.csv";
    let both = |from: &str, to: &str| {
        let copy = Copy::new();
        copy.change(detail, |text| text.replacen(&format!("\n{from},"), &format!("\n{to},"), 1));
        copy.change("units/successions.csv", |text| text.replacen(&format!("\n{from},"), &format!("\n{to},"), 1));
        place(&copy)
    };
    assert_eq!(both("00001,00097,2025-07-01", "00001,00097,2025-07-02").2, "old_code");
    assert_eq!(
        both("00001,00097,2025-07-01", "00001,00001,2025-07-01"),
        at(detail, "00001,00001,2025-07-01,merged_whole", "new_code")
    );
    assert_eq!(
        fault(detail, "00001,00097,2025-07-01,merged_whole", "00001,00097,2025-07-01,part"),
        at("units/successions.csv", "00001,00097,2025-07-01,whole", "share_note")
    );
    assert_eq!(fault(detail, "00001,00097,2025-07-01,merged_whole\n", "").2, "new_code");
    // A unit whose heir nobody names.
    let copy = Copy::new();
    copy.change(detail, |text| text.replacen("\n00001,00097,2025-07-01,merged_whole", "", 1));
    copy.change("units/successions.csv", |text| text.replacen("\n00001,00097,2025-07-01,whole", "", 1));
    assert_eq!(place(&copy), at("units/communes.csv", "00001,Phường Phúc Xá,phuong,001,01,,2025-06-30", "valid_to"));
    let variants = "units/former-name-variants.csv";
    let broken = "00712,Thị trấn Phố Bảng,2025-06-29";
    assert_eq!(fault(variants, "00712,Thị trấn Phố Bảng,2025-06-30", broken), at(variants, broken, "valid_to"));
    let (file, _, column) = fault("units/reused-codes.csv", "Tỉnh Yên Bái", "Tỉnh Yên Bình");
    assert_eq!((file.as_str(), column.as_str()), ("units/reused-codes.csv", "code"));
}

#[test]
fn every_commune_has_one_office() {
    let serves = "offices/office_serves.csv";
    let row = "vptaweta,commune,00004,2025-07-01,";
    assert_eq!(
        fault(serves, &format!("{row}\n"), ""),
        at("units/communes.csv", "00004,Phường Ba Đình,phuong,01,01,2025-07-01,", "code")
    );
    let broken = "vpaaaaaa,commune,00004,2025-07-01,";
    assert_eq!(fault(serves, row, broken), at(serves, broken, "office_id"));
    let broken = "vptaweta,commune,00004,2025-08-01,";
    assert_eq!(fault(serves, row, broken).2, "code");
    let broken = "vptaweta,province,00004,2025-07-01,";
    assert_eq!(fault(serves, row, broken), at(serves, broken, "level"));
    assert_eq!(fault(serves, row, &format!("{row}\nvp6i3y5j,commune,00004,2025-07-01,")).2, "unit_code");
    let copy = Copy::new();
    copy.change("offices/offices.csv", |text| text.replacen("\nvp2252zr,", "\nvp223nds,", 1));
    let (file, line, column) = place(&copy);
    assert_eq!((file.as_str(), column.as_str()), ("offices/offices.csv", "office_id"));
    assert!(line.starts_with("vp223nds,"));
}

#[test]
fn calendar_and_rules_are_clear() {
    let year = "calendar/vn-2026.csv";
    let broken = "2026-01-01,compensatory_rest,Nghỉ hoán đổi (làm bù thứ Bảy 2026-01-10),official";
    assert_eq!(
        fault(year, "2026-01-02,compensatory_rest,Nghỉ hoán đổi (làm bù thứ Bảy 2026-01-10),official", broken),
        at(year, broken, "date")
    );
    assert_eq!(fault(year, "2026-01-02", "2025-01-02").2, "date");
    assert_eq!(fault(year, "holiday", "feast").2, "kind");
    assert_eq!(fault(year, "official", "certain").2, "status");
    let ladder = "rules/ladder.csv";
    let broken = "answer_due,1,province_unit,chase,0,2025-02-28,";
    assert_eq!(
        fault(ladder, "answer_due,1,province_unit,chase,0,2025-03-01,", broken),
        at(ladder, broken, "valid_from")
    );
    assert_eq!(fault(ladder, "accept_due,0,", "accept_due,-1,").2, "rung");
    let legal = "rules/legal_rules.csv";
    assert_eq!(
        fault(legal, "exempt_under_age,6,years,2026-07-01", "exempt_under_age,6,years,2026-06-30").2,
        "valid_from"
    );
    assert_eq!(fault(legal, "reply.accept,1,", "reply.accept,one,").2, "value");
    assert_eq!(fault(legal, "retention,13,months", "retention,5,months").2, "value");
    // A rule the program needs.
    assert_eq!(fault(legal, "reply.accept,1,", "reply.opening,1,").2, "key");
    assert_eq!(fault(legal, "file_clock.temp_renewal", "file_clock.renewal").2, "key");
}

#[test]
fn days_of_one_place_are_checked() {
    let (local, saturday) = ("calendar/local.csv", "calendar/saturday.csv");
    let added = |file: &str, rows: &str| {
        let copy = Copy::new();
        copy.change(file, |text| format!("{text}{rows}"));
        place(&copy)
    };
    let flood = "province:01,2026-11-25,local_rest,Lũ,official";
    for (rows, line, column) in [
        ("province:98,2026-11-25,local_rest,Lũ,official\n", "province:98,2026-11-25,local_rest,Lũ,official", "scope"),
        (
            "office:vpzzzzzz,2026-11-25,local_rest,Lũ,official\n",
            "office:vpzzzzzz,2026-11-25,local_rest,Lũ,official",
            "scope",
        ),
        ("nation,2026-11-25,local_rest,Lũ,official\n", "nation,2026-11-25,local_rest,Lũ,official", "scope"),
        // Ended in 2025.
        ("province:77,2026-11-25,local_rest,Lũ,official\n", "province:77,2026-11-25,local_rest,Lũ,official", "scope"),
        ("province:01,2026-11-25,holiday,Lũ,official\n", "province:01,2026-11-25,holiday,Lũ,official", "kind"),
        (&format!("{flood}\n{flood}\n"), flood, "date"),
    ] {
        assert_eq!(added(local, rows), at(local, line, column));
    }
    assert_eq!(added(saturday, "nation,counts,2026-01-01,\n"), at(saturday, "nation,counts,2026-01-01,", "valid_from"));
    assert_eq!(added(saturday, "province:01,always,,\n"), at(saturday, "province:01,always,,", "mode"));
    let year = "calendar/vn-2026.csv";
    assert_eq!(
        fault(year, "2026-01-01,holiday", "2026-01-01,local_rest").2,
        "kind",
        "a local day has no place among the nation's"
    );
}
