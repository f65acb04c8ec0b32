//! People who do not exist, and the words for where they live.
//!
//! Their numbers begin with 999, which no province has, and go with their year of birth. Some names
//! break "family, middle, given", some come from abroad, some are in decomposed form: all of them
//! must arrive as they were typed.

use anyhow::Result;
use jiff::civil::date;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use xacminh_contract::request::{Home, Person};

const FAMILY: [&str; 18] = [
    "Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Hoàng", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương",
    "Lý", "Quách", "Khổng",
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
const RARE: [&str; 9] = [
    "Siu",
    "Y Ỵ",
    "H'Hen",
    "K'Brới",
    "Công Tằng Tôn Nữ Mỹ Hạnh",
    "Rơ Châm H'Ƀlưih",
    "Thạch Sô Phia",
    "Jarai Ksor H'Wĕ",
    // Nguyễn Thị Hiền in decomposed form: what some keyboards and old files give.
    "Nguye\u{302}\u{303}n Thi\u{323} Hie\u{302}\u{300}n",
];
const STREETS: [&str; 8] = [
    "đường Thử Nghiệm",
    "ngõ 12 phố Giả Định",
    "hẻm 48 Lê Thử",
    "tổ dân phố 7",
    "thôn Phú Mẫu",
    "ấp Bình Mẫu",
    "bản Nậm Mẫu",
    "buôn Mẫu",
];
const ORIGINS: [&str; 5] = ["Thái Bình", "Nghệ An", "Huế", "Bến Tre", "Cao Bằng"];
const ABROAD: [(&str, &str); 5] =
    [("LA", "Viêng Chăn"), ("KH", "ខេត្តតាកែវ"), ("KR", "부산"), ("TW", "高雄"), ("CZ", "Plzeň, čtvrť Doubravka")];

/// Somebody. One in eleven has a rare name, one in forty comes from abroad, one in fifty knows
/// only the year of birth, one in a hundred has no number.
pub(crate) fn person(rng: &mut impl Rng) -> Result<Person> {
    let born = date(rng.random_range(1940..=2017), rng.random_range(1..=12), rng.random_range(1..=28));
    let century = u32::from(born.year() >= 2000) * 2 + rng.random_range(0..=1);
    let person_no = format!("999{century}{:02}{:06}", born.year() % 100, rng.random_range(0..1_000_000));
    let full_name = if rng.random_ratio(1, 11) {
        pick(&RARE, rng).to_owned()
    } else {
        format!("{} {} {}", pick(&FAMILY, rng), pick(&MIDDLE, rng), pick(&GIVEN, rng))
    };
    let (country, text) = if rng.random_ratio(1, 40) { pick(&ABROAD, rng) } else { ("VN", pick(&ORIGINS, rng)) };
    let birth = if rng.random_ratio(1, 50) { born.year().to_string() } else { born.to_string() };
    let mut form = json!({
        "full_name": full_name, "birth": birth,
        "address": format!("Số {} {}", rng.random_range(1..300), pick(&STREETS, rng)),
        "origin": { "country": country, "text": text },
    });
    if !rng.random_ratio(1, 100) {
        form["person_no"] = json!(person_no);
    }
    Ok(serde_json::from_value(form)?)
}

/// A home by the words of an old document.
pub(crate) fn old_home((name, district, province): &(String, String, String), tone_marks: bool) -> Result<Home> {
    let write = |text: &str| {
        if tone_marks { text.to_owned() } else { without_marks(text) }
    };
    Ok(serde_json::from_value(
        json!({ "name": write(name), "district": write(district), "province": write(province) }),
    )?)
}

/// How people write who have no keyboard for it: `Phuong Phuc Xa`.
pub(crate) fn without_marks(text: &str) -> String {
    let plain = |c: char| match c {
        'đ' => 'd',
        'Đ' => 'D',
        c => c,
    };
    text.nfd().filter(|c| !is_combining_mark(*c)).map(plain).collect()
}

fn pick<T: Copy>(from: &[T], rng: &mut impl Rng) -> T {
    // None of the lists above is empty.
    from.choose(rng).copied().unwrap_or(from[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn numbers_go_with_the_year_of_birth() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..2_000 {
            let person = person(&mut rng).unwrap();
            let Some(number) = person.person_no.map(|n| n.0) else {
                continue;
            };
            assert!(number.len() == 12 && number.starts_with("999"));
            let digit = |i: usize| i16::from(number.as_bytes()[i] - b'0');
            assert_eq!(1900 + digit(3) / 2 * 100 + digit(4) * 10 + digit(5), person.birth.0.earliest().year());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_people() {
        let people = || {
            let mut rng = StdRng::seed_from_u64(3);
            (0..50).map(|_| person(&mut rng).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(people(), people());
    }

    #[test]
    fn marks_are_dropped_and_letters_kept() {
        assert_eq!(without_marks("Phường Đồng Xuân, Quận Hoàn Kiếm"), "Phuong Dong Xuan, Quan Hoan Kiem");
    }
}
