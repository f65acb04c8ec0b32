//! When are two Vietnamese names the same? Forms to compare by, never to show.
//!
//! Both `hoà` and `hòa` are in use, keyboards give two apostrophes and five dashes, and many type
//! no marks at all. [`marked`] unifies what carries no meaning and keeps the marks; [`bare`] drops
//! the marks too.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// How alike two names of a person are (handbook §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameMatch {
    /// The same but for case, spelling of the marks and spaces.
    Exact,
    /// The same but for the marks.
    Soft,
    /// Not the same.
    Different,
}

/// Compares two full names of a person.
pub fn compare(a: &str, b: &str) -> NameMatch {
    if marked(a) == marked(b) {
        NameMatch::Exact
    } else if bare(a) == bare(b) {
        NameMatch::Soft
    } else {
        NameMatch::Different
    }
}

/// The form that keeps the marks: lower case, the tone of each word moved to the word's end (where
/// on the vowels it stands carries no meaning), one sort of apostrophe, dash and space.
pub fn marked(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut tones = String::new();
    let mut dash = false;
    for c in text.nfd().flat_map(char::to_lowercase) {
        if is_tone(c) {
            tones.push(c);
            continue;
        }
        let c = unified(c);
        if !(c.is_alphabetic() || is_vowel_mark(c)) {
            out.push_str(&tones);
            tones.clear();
        }
        match c {
            // A dash is one with the spaces around it: "Bà Rịa - Vũng Tàu", "Bà Rịa-Vũng Tàu".
            ' ' if dash || out.is_empty() || out.ends_with(' ') => continue,
            '-' => {
                out.truncate(out.trim_end_matches(' ').len());
                dash = true;
            }
            _ => dash = false,
        }
        out.push(c);
    }
    out.push_str(&tones);
    out.truncate(out.trim_end_matches(' ').len());
    out
}

/// The form without any marks, `đ` being `d`.
pub fn bare(text: &str) -> String {
    marked(text)
        .chars()
        .filter(|c| !(is_tone(*c) || is_vowel_mark(*c)))
        .map(|c| if c == 'đ' { 'd' } else { c })
        .collect()
}

/// Whether a text is in Unicode's form NFC, in which the reference data are kept.
pub fn is_nfc(text: &str) -> bool {
    text.is_ascii()
        || match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => true,
            IsNormalized::No => false,
            IsNormalized::Maybe => text.nfc().eq(text.chars()),
        }
}

/// Grave, acute, tilde, hook above, dot below.
fn is_tone(c: char) -> bool {
    matches!(c, '\u{300}' | '\u{301}' | '\u{303}' | '\u{309}' | '\u{323}')
}

/// Other combining marks, of which Vietnamese has circumflex, breve and horn.
fn is_vowel_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}') && !is_tone(c)
}

/// One of each sort of apostrophe, dash and space; and the Icelandic letter that passes for `đ`.
fn unified(c: char) -> char {
    match c {
        '’' | '‘' | '`' | '´' | '\u{2bc}' | '\u{2b9}' | '\u{2032}' => '\'',
        '‐' | '\u{2011}' | '‒' | '–' | '—' | '−' => '-',
        'ð' => 'đ',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_place_of_the_tone_mark_does_not_matter() {
        for (a, b) in [("Hoà", "hòa"), ("Thuỷ", "Thủy"), ("Khoẻ", "khỏe"), ("Quý", "Qúy"), ("Hiệp Hoà", "HIỆP HÒA")]
        {
            assert_eq!(marked(a), marked(b));
        }
        assert_ne!(marked("Hòa"), marked("Hóa"));
        assert_ne!(marked("Hòa An"), marked("Hoa Àn"));
        assert_eq!(marked("Việt"), marked("Vie\u{323}\u{302}t"));
    }

    #[test]
    fn keyboards_do_not_matter() {
        assert_eq!(marked("Ch’ơm"), marked("Ch'ơm"));
        assert_eq!(marked("Bà Rịa – Vũng Tàu"), marked("bà rịa-vũng  tàu "));
        assert_eq!(marked("Văn\u{a0}Miếu"), marked(" Văn Miếu"));
        assert_eq!(marked("Ðông"), marked("Đông"));
    }

    #[test]
    fn without_marks_only_letters_are_left() {
        assert_eq!(bare("Đặc khu Thổ Châu"), "dac khu tho chau");
        assert_eq!(bare("Phường Bưởi"), "phuong buoi");
    }

    #[test]
    fn names_of_persons() {
        assert_eq!(compare("Nguyễn Thị Hoà", "NGUYỄN THỊ HÒA"), NameMatch::Exact);
        assert_eq!(compare("Nguyễn Thị Hoà", "Nguyen Thi Hoa"), NameMatch::Soft);
        assert_eq!(compare("Nguyễn Thị Hoà", "Nguyễn Thị Hà"), NameMatch::Different);
        assert_eq!(compare("Sáng", "Sang"), NameMatch::Soft);
    }

    proptest! {
        #[test]
        fn a_form_is_stable(text in "\\PC{0,24}") {
            prop_assert_eq!(bare(&marked(&text)), bare(&text));
            prop_assert_eq!(compare(&text, &text), NameMatch::Exact);
            prop_assert_eq!(marked(&text.nfc().collect::<String>()), marked(&text));
        }
    }
}
