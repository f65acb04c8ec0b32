//! People who do not exist, the same for the same number.
//!
//! Their identity numbers begin with 999, which no province has. The names are chosen to hurt:
//! one-word names of ethnic minorities, names of six words, letters with two marks (ệ, ữ, ặ, ỵ),
//! Đ beside D, and the same name in composed and decomposed form.

use jiff::ToSpan;
use jiff::civil::{Date, date};

/// Somebody who does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Family, middle and given names.
    pub full_name: String,
    /// Twelve digits, beginning with 999.
    pub person_no: String,
    /// `YYYY-MM-DD`.
    pub birth_on: String,
    /// House and street or hamlet, as it stands before the unit's name in an address.
    pub address_detail: String,
}

const FAMILY: [&str; 16] = [
    "Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Hoàng", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Ngô", "Dương", "Lý",
    "Quách",
];
const MIDDLE: [&str; 12] =
    ["Thị", "Văn", "Hữu", "Đức", "Ngọc", "Thị Bích", "Xuân", "Quốc", "Thị Diệu", "Công", "Minh", "Thị Tường"];
const GIVEN: [&str; 18] = [
    "Hương",
    "Nguyệt",
    "Quỳnh",
    "Thuỷ",
    "Đạt",
    "Khoẻ",
    "Ngữ",
    "Phượng",
    "Tuyết",
    "Vỹ",
    "Ỷ Lan",
    "Huệ",
    "Trường",
    "Sương",
    "Kỳ",
    "Hậu",
    "Ước",
    "Duyên",
];
/// Names that break "family, middle, given".
const RARE: [&str; 10] = [
    "Siu",
    "Y Ỵ",
    "H'Hen",
    "Hồ",
    "Tôn Nữ Thị Ngọc Quỳnh Như",
    "K'Brới",
    "Công Tằng Tôn Nữ Mỹ Hạnh",
    "Rơ Châm H'Blưih",
    "Thạch Sô Phia",
    // Nguyễn Thị Hiền, in decomposed form: what some keyboards and old files give.
    "Nguye\u{302}\u{303}n Thi\u{323} Hie\u{302}\u{300}n",
];
const STREETS: [&str; 8] = [
    "đường Nguyễn Trãi",
    "ngõ 12 phố Khâm Thiên",
    "hẻm 48 Lê Lợi",
    "tổ dân phố 7",
    "thôn Phú Thượng",
    "ấp Bình Đức",
    "bản Nậm Cắn",
    "buôn Đỗng",
];

/// The person of this number. One in eleven has a rare name.
pub fn person(number: u32) -> Person {
    let spread = scatter(number);
    let full_name = if number % 11 == 10 {
        pick(&RARE, u64::from(number) / 11).to_owned()
    } else {
        let (family, middle, given) = (spread, spread >> 16, spread >> 32);
        format!("{} {} {}", pick(&FAMILY, family), pick(&MIDDLE, middle), pick(&GIVEN, given))
    };
    // Born 1940 to 2017, so that nobody is under six.
    let days = i64::try_from(spread % 28_000).expect("small");
    let birth_on: Date = date(1940, 1, 1).checked_add(days.days()).expect("in range");
    Person {
        full_name,
        person_no: format!("999{number:09}"),
        birth_on: birth_on.to_string(),
        address_detail: format!("số {} {}", 1 + (spread >> 8) % 300, pick(&STREETS, spread >> 20)),
    }
}

fn pick<'a>(from: &[&'a str], by: u64) -> &'a str {
    let length = from.len() as u64;
    from[usize::try_from(by % length).expect("small")]
}

/// A well-mixed number from a small one (splitmix64): neighbours do not look alike.
fn scatter(number: u32) -> u64 {
    let mut z = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_number_is_always_the_same_person() {
        assert_eq!(person(7), person(7));
        let people: Vec<_> = (0..2_000).map(person).collect();
        let numbers: HashSet<_> = people.iter().map(|p| &p.person_no).collect();
        assert_eq!(numbers.len(), people.len());
        assert!(people.iter().all(|p| p.person_no.len() == 12 && p.person_no.starts_with("999")));
        assert!(people.iter().any(|p| !p.full_name.contains(' ')));
        assert!(people.iter().all(|p| p.birth_on.as_str() < "2018"));
    }
}
