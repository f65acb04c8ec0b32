//! The person asked about: the least that identifies somebody (handbook §9), checked for form.
//!
//! Texts stay exactly as they were sent, so that the home office reads what the ward typed.

use jiff::civil::Date;

use crate::person_no::{Malformed, PersonNo, PersonNoWarning};

/// A birth date, of which sometimes only the year, or year and month, is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartialDate {
    /// The whole date.
    Day(Date),
    /// Year and month (1–12).
    Month(i16, i8),
    /// The year alone.
    Year(i16),
}

impl PartialDate {
    /// The first day it can mean.
    pub fn earliest(self) -> Date {
        match self {
            Self::Day(on) => on,
            Self::Month(year, month) => Date::new(year, month, 1).unwrap_or(Date::MIN),
            Self::Year(year) => Date::new(year, 1, 1).unwrap_or(Date::MIN),
        }
    }

    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; a day that does not exist is refused.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i16>().ok()).flatten();
        match text.len() {
            4 => number(text).filter(|y| *y >= 1850).map(Self::Year),
            7 => {
                let (year, month) = text.split_once('-')?;
                let date = Date::new(number(year)?, i8::try_from(number(month)?).ok()?, 1).ok()?;
                (date.year() >= 1850).then(|| Self::Month(date.year(), date.month()))
            }
            10 => text.parse::<Date>().ok().filter(|d| d.year() >= 1850).map(Self::Day),
            _ => None,
        }
    }
}

/// Where somebody's family comes from (quê quán). Any country, any words.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// Two letters, ISO 3166-1; `VN` at home.
    pub country: String,
    /// Free words.
    pub text: String,
}

/// The person asked about, as sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Full name as declared.
    pub full_name: String,
    /// Birth date as declared.
    pub birth: PartialDate,
    /// The number as typed, before any folding; children and settlers from abroad may have none.
    pub person_no: Option<String>,
    /// The claimed home address below the commune: house, hamlet, quarter.
    pub address: Option<String>,
    /// Place of origin.
    pub origin: Option<Origin>,
}

/// Personal data: nothing of it is shown.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person(…)")
    }
}

/// Why a person's data cannot be right in form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonDefect {
    /// No name, or more than 200 characters of it.
    FullName,
    /// Born after this day, on which the file was received.
    BirthAfterReceipt(Date),
    /// The number is neither 12 nor 9 digits.
    PersonNo(Malformed),
    /// Without a number an address is needed.
    AddressMissing,
}

/// What is odd about a person's data; both offices see it (handbook §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonWarning {
    /// About the number.
    Number(PersonNoWarning),
    /// The place of origin is abroad.
    OriginAbroad,
    /// The name has letters outside the Vietnamese alphabet.
    NameRareLetters,
}

/// Looks at the form of what was declared. `received_on` is the day of the file's receipt.
pub fn check(
    person: &Person,
    received_on: Date,
    known_prefix: impl Fn(&str) -> bool,
) -> Result<Vec<PersonWarning>, PersonDefect> {
    let name = person.full_name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(PersonDefect::FullName);
    }
    if person.birth.earliest() > received_on {
        return Err(PersonDefect::BirthAfterReceipt(received_on));
    }
    let mut warnings = Vec::new();
    match &person.person_no {
        Some(text) => {
            let number = PersonNo::parse(text).map_err(PersonDefect::PersonNo)?;
            let year = person.birth.earliest().year();
            warnings.extend(number.warnings(year, known_prefix).into_iter().map(PersonWarning::Number));
        }
        None if person.address.as_deref().is_none_or(|a| a.trim().is_empty()) => {
            return Err(PersonDefect::AddressMissing);
        }
        None => {}
    }
    if person.origin.as_ref().is_some_and(|o| o.country != "VN") {
        warnings.push(PersonWarning::OriginAbroad);
    }
    if name.chars().any(is_rare) {
        warnings.push(PersonWarning::NameRareLetters);
    }
    Ok(warnings)
}

/// Under the age of exemption (6, handbook §2) for certain on the day of the receipt. A year of
/// birth alone counts from its first day, so that a doubt is never an exemption.
pub fn is_under_age(birth: PartialDate, on: Date, years: i16) -> bool {
    let born = birth.earliest();
    let birthday =
        Date::new(born.year() + years, born.month(), born.day()).or_else(|_| Date::new(born.year() + years, 3, 1)); // born on 29 February
    birthday.is_ok_and(|b| on < b)
}

/// Letters that Vietnamese names in the majority spelling do not have.
fn is_rare(c: char) -> bool {
    use unicode_normalization::UnicodeNormalization;
    if !c.is_alphabetic() {
        return !(c.is_whitespace() || matches!(c, '\'' | '’' | '-' | '.') || is_tone_mark(c));
    }
    std::iter::once(c)
        .nfd()
        .flat_map(char::to_lowercase)
        .any(|c| !(matches!(c, 'a'..='z' | 'đ') && !matches!(c, 'f' | 'j' | 'w' | 'z') || is_tone_mark(c)))
}

/// The combining marks of Vietnamese: grave, acute, tilde, hook, dot below, circumflex, breve, horn.
fn is_tone_mark(c: char) -> bool {
    matches!(c, '\u{300}' | '\u{301}' | '\u{303}' | '\u{309}' | '\u{323}' | '\u{302}' | '\u{306}' | '\u{31b}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn person() -> Person {
        Person {
            full_name: "Nguyễn Thị Thử".into(),
            birth: PartialDate::Day(date(1990, 2, 3)),
            person_no: Some("999090001234".into()),
            address: None,
            origin: None,
        }
    }

    fn checked(person: &Person) -> Result<Vec<PersonWarning>, PersonDefect> {
        check(person, date(2026, 11, 19), |_| true)
    }

    #[test]
    fn odd_meaning_is_flagged_and_passes() {
        assert_eq!(checked(&person()), Ok(vec![]));
        let foreign = Origin { country: "LA".into(), text: "Viêng Chăn".into() };
        assert_eq!(checked(&Person { origin: Some(foreign), ..person() }), Ok(vec![PersonWarning::OriginAbroad]));
        for name in ["Y Wăn Êban Thử", "Hờ A Zàng", "Čư Thử"] {
            let found = checked(&Person { full_name: name.into(), ..person() });
            assert_eq!(found, Ok(vec![PersonWarning::NameRareLetters]), "{name}");
        }
        for name in ["Lò", "Đặng Ngọc Ánh", "O'Thử Hoà", "Hoa\u{300} Thu\u{309}"] {
            assert_eq!(checked(&Person { full_name: name.into(), ..person() }), Ok(vec![]), "{name}");
        }
    }

    #[test]
    fn impossible_form_is_refused() {
        let unborn = Person { birth: PartialDate::Year(2027), ..person() };
        assert_eq!(checked(&unborn), Err(PersonDefect::BirthAfterReceipt(date(2026, 11, 19))));
        assert_eq!(checked(&Person { person_no: None, ..person() }), Err(PersonDefect::AddressMissing));
        assert_eq!(checked(&Person { full_name: " ".into(), ..person() }), Err(PersonDefect::FullName));
    }

    #[test]
    fn partial_dates_are_read_and_impossible_ones_are_not() {
        assert_eq!(PartialDate::parse("1956"), Some(PartialDate::Year(1956)));
        assert_eq!(PartialDate::parse("1956-07"), Some(PartialDate::Month(1956, 7)));
        assert_eq!(PartialDate::parse("1956-07-09"), Some(PartialDate::Day(date(1956, 7, 9))));
        for bad in ["1990-02-30", "1990-13", "90", "1990/02/03", "0990", ""] {
            assert_eq!(PartialDate::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_sixth_birthday_ends_the_exemption() {
        let born = PartialDate::Day(date(2020, 11, 19));
        assert!(is_under_age(born, date(2026, 11, 18), 6));
        assert!(!is_under_age(born, date(2026, 11, 19), 6));
        assert!(!is_under_age(PartialDate::Year(2020), date(2026, 1, 1), 6), "a doubt is no exemption");
    }
}
