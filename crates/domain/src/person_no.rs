//! The number a person is known by: form is checked, meaning is only warned about (handbook §7).
//!
//! A number has no check digit, and its first three digits say where the *birth* was registered:
//! nothing here routes by it. Neither `Debug` nor `Display` shows more than the last three digits.

use std::fmt;

/// A number of 12 digits (số định danh cá nhân), or of 9 (CMND, no longer a valid document).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PersonNo(String);

/// Why a text is not a number: neither 12 nor 9 digits once spaces and dots are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither 12 nor 9 digits")]
pub struct Malformed {
    /// A leading zero may have been lost on the way (8, 10 or 11 digits). Never padded silently.
    pub zero_may_be_missing: bool,
}

/// What is odd about a well-formed number. Shown to both offices, never a reason to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonNoWarning {
    /// Nine digits: an old identity card, no longer valid since 1/1/2025.
    IdLegacy,
    /// The first three digits are no province of birth registration known to the registry.
    IdUnknownPrefix,
    /// Century or year in the number differ from the declared year of birth.
    IdDisagreesBirth,
}

/// The first three digits of every synthetic test person.
pub const TEST_PREFIX: &str = "999";

impl PersonNo {
    /// Reads a number as people write it: spaces and dots are dropped, full-width digits folded.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut digits = String::with_capacity(12);
        for c in text.chars() {
            match c {
                ' ' | '.' | '\u{a0}' | '\u{3000}' => {}
                '0'..='9' => digits.push(c),
                '０'..='９' => digits.extend(char::from_digit(u32::from(c) - u32::from('０'), 10)),
                _ => return Err(Malformed { zero_may_be_missing: false }),
            }
        }
        match digits.len() {
            9 | 12 => Ok(Self(digits)),
            n => Err(Malformed { zero_may_be_missing: matches!(n, 8 | 10 | 11) }),
        }
    }

    /// The digits. Personal data: for the sealed row and the wire, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is odd. `known_prefix` tells whether three digits are a province of birth
    /// registration; `birth_year` is the declared one.
    pub fn warnings(&self, birth_year: i16, known_prefix: impl Fn(&str) -> bool) -> Vec<PersonNoWarning> {
        if self.0.len() == 9 {
            return vec![PersonNoWarning::IdLegacy];
        }
        let mut found = Vec::new();
        let prefix = &self.0[..3];
        if prefix != TEST_PREFIX && !known_prefix(prefix) {
            found.push(PersonNoWarning::IdUnknownPrefix);
        }
        let digit = |i: usize| i16::from(self.0.as_bytes()[i] - b'0');
        let year = 1900 + digit(3) / 2 * 100 + digit(4) * 10 + digit(5);
        if year != birth_year {
            found.push(PersonNoWarning::IdDisagreesBirth);
        }
        found
    }

    fn masked(&self) -> String {
        let (head, tail) = self.0.split_at(self.0.len() - 3);
        format!("{}{tail}", "*".repeat(head.len()))
    }
}

impl fmt::Debug for PersonNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonNo({})", self.masked())
    }
}

impl fmt::Display for PersonNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_dots_and_wide_digits_are_folded() {
        for text in ["999090001234", "999 090 001 234", "999.090.001.234", "９９９090001234"] {
            assert_eq!(PersonNo::parse(text).unwrap().reveal(), "999090001234");
        }
    }

    #[test]
    fn a_lost_zero_is_hinted_at_and_never_added() {
        for (text, hint) in [("99090001234", true), ("99909000", true), ("1234567", false), ("99909000123a", false)] {
            assert_eq!(PersonNo::parse(text), Err(Malformed { zero_may_be_missing: hint }), "{text}");
        }
    }

    #[test]
    fn oddities_are_warned_about() {
        use PersonNoWarning::*;
        let warnings = |text, year| PersonNo::parse(text).unwrap().warnings(year, |p| p == "001");
        assert_eq!(warnings("001090001234", 1990), []);
        assert_eq!(warnings("999304001234", 2004), [], "the test prefix is known");
        assert_eq!(warnings("998090001234", 1990), [IdUnknownPrefix]);
        assert_eq!(warnings("001290001234", 1990), [IdDisagreesBirth], "another century");
        assert_eq!(warnings("123456789", 1960), [IdLegacy]);
    }

    #[test]
    fn only_the_last_three_digits_are_ever_shown() {
        let no = PersonNo::parse("999090001234").unwrap();
        assert_eq!(format!("{no} {no:?}"), "*********234 PersonNo(*********234)");
    }
}
