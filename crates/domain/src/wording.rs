//! What citizens are told: dated texts, checked before they are used (handbook §11).
//!
//! W speaks to the citizen. Every text ends with whom to call; nothing reads as a summons; what a
//! record says is said as what the data say.

use jiff::civil::Date;

use crate::unit::covers;

/// The row that every text ends with.
pub const TRAILER: &str = "TRAILER";

/// The placeholders a text may have.
const PLACEHOLDERS: [&str; 8] =
    ["{W}", "{H}", "{muc}", "{can_cu}", "{ngay_hen}", "{ngay_hen_moi}", "{han_bo_sung}", "{dien_thoai}"];

/// Abbreviations that citizens need not know.
const ABBREVIATIONS: [&str; 8] = ["CT0", "CT10", "PC06", "C06", "CSDL", "CCCD", "CMND", "UBND"];

/// One text over one interval, both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CitizenText {
    /// `A01` … `A09`, or [`TRAILER`].
    pub code: String,
    /// The version a citizen may be shown it by.
    pub version: String,
    /// The first day.
    pub valid_from: Date,
    /// The last day; none: still.
    pub valid_to: Option<Date>,
    /// Who looked it over.
    pub reviewer: String,
    /// The words, with placeholders.
    pub text: String,
}

/// What fills the placeholders. What is not known stays empty, and a text that needs it is not
/// rendered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill<'a> {
    /// `{W}`: the receiving police.
    pub requester: &'a str,
    /// `{dien_thoai}`: its number.
    pub phone: &'a str,
    /// `{H}`: the home police.
    pub responder: &'a str,
    /// `{muc}`: the fields in question.
    pub muc: Option<&'a str>,
    /// `{can_cu}`: the basis.
    pub can_cu: Option<&'a str>,
    /// `{ngay_hen}`: the appointment, or the last day of the file.
    pub appointment: Option<Date>,
    /// `{han_bo_sung}`: until when to complete.
    pub supplement_by: Option<Date>,
}

/// Why a text may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordingError {
    /// A placeholder nobody fills.
    #[error("unknown placeholder {0}")]
    UnknownPlaceholder(String),
    /// More than two sentences.
    #[error("{0} sentences, two at most")]
    TooLong(usize),
    /// Neither "ông/bà" nor a matter of offices alone.
    #[error("the polite form is missing")]
    NotPolite,
    /// An abbreviation citizens need not know.
    #[error("the abbreviation {0}")]
    Abbreviation(&'static str),
    /// The trailer must name whom to call and the number.
    #[error("the trailer names no office or no number")]
    TrailerIncomplete,
    /// No text for a code on a day.
    #[error("no text {code} on {on}")]
    Missing {
        /// Which.
        code: String,
        /// When.
        on: Date,
    },
    /// A placeholder whose value is not known.
    #[error("nothing to fill {0} with")]
    Unfilled(String),
}

impl CitizenText {
    /// Checks one text; an importer refuses those that fail.
    pub fn check(&self) -> Result<(), WordingError> {
        if let Some(unknown) = placeholders(&self.text).find(|p| !PLACEHOLDERS.contains(p)) {
            return Err(WordingError::UnknownPlaceholder(unknown.to_owned()));
        }
        if let Some(found) = ABBREVIATIONS.into_iter().find(|a| self.text.contains(a)) {
            return Err(WordingError::Abbreviation(found));
        }
        if self.code == TRAILER {
            let complete = self.text.contains("{W}") && self.text.contains("{dien_thoai}");
            return if complete { Ok(()) } else { Err(WordingError::TrailerIncomplete) };
        }
        let sentences = self.text.matches(". ").count() + usize::from(self.text.ends_with('.'));
        if sentences > 2 {
            return Err(WordingError::TooLong(sentences));
        }
        if !self.text.contains("ông/bà") && !self.text.contains("Ông/bà") {
            return Err(WordingError::NotPolite);
        }
        Ok(())
    }
}

/// All texts.
#[derive(Debug, Clone, Default)]
pub struct Wording {
    rows: Vec<CitizenText>,
}

/// A text ready to be read out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The words.
    pub text: String,
    /// Their version.
    pub version: String,
}

impl Wording {
    /// Takes the rows.
    pub fn new(rows: impl IntoIterator<Item = CitizenText>) -> Self {
        Self { rows: rows.into_iter().collect() }
    }

    fn at(&self, code: &str, on: Date) -> Result<&CitizenText, WordingError> {
        self.rows
            .iter()
            .find(|row| row.code == code && covers(Some(row.valid_from), row.valid_to, on))
            .ok_or_else(|| WordingError::Missing { code: code.to_owned(), on })
    }

    /// The text of a code on a day, filled in, with its trailer.
    pub fn render(&self, code: &str, on: Date, fill: Fill<'_>) -> Result<Rendered, WordingError> {
        let text = self.at(code, on)?;
        let trailer = self.at(TRAILER, on)?;
        let words = format!("{} {}", text.text, trailer.text);
        let mut out = String::with_capacity(words.len() + 64);
        let mut rest = words.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(&filled(name, fill).ok_or_else(|| WordingError::Unfilled(name.to_owned()))?);
            rest = after;
        }
        out.push_str(rest);
        Ok(Rendered { text: out, version: text.version.clone() })
    }
}

fn filled(name: &str, fill: Fill<'_>) -> Option<String> {
    let day = |on: Option<Date>| on.map(|on| format!("{:02}/{:02}/{}", on.day(), on.month(), on.year()));
    match name {
        "W" => Some(capitalised(fill.requester)),
        "H" => Some(capitalised(fill.responder)),
        "dien_thoai" => Some(fill.phone.to_owned()),
        "muc" => fill.muc.map(str::to_owned),
        "can_cu" => fill.can_cu.map(str::to_owned),
        "ngay_hen" => day(fill.appointment),
        "han_bo_sung" => day(fill.supplement_by),
        _ => None,
    }
    .filter(|value| !value.is_empty())
}

/// Office names begin with a capital wherever they stand.
fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').map(move |(at, _)| {
        let rest = &text[at..];
        rest.find('}').map_or(rest, |end| &rest[..=end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn text(code: &str, words: &str) -> CitizenText {
        CitizenText {
            code: code.into(),
            version: "v".into(),
            valid_from: date(2026, 1, 1),
            valid_to: None,
            reviewer: "r".into(),
            text: words.into(),
        }
    }

    #[test]
    fn a_text_that_breaks_the_rules_is_refused() {
        assert_eq!(text("A01", "{H} đã xác nhận thông tin ông/bà kê khai. Ngày hẹn: {ngay_hen}.").check(), Ok(()));
        assert!(matches!(text("A01", "Ông/bà {ai}.").check(), Err(WordingError::UnknownPlaceholder(_))));
        assert_eq!(text("A01", "Đã xong.").check(), Err(WordingError::NotPolite));
        assert_eq!(text("A01", "Ông/bà. Hai. Ba.").check(), Err(WordingError::TooLong(3)));
        assert_eq!(text("A01", "Ông/bà xem CSDL.").check(), Err(WordingError::Abbreviation("CSDL")));
        assert_eq!(text(TRAILER, "Xin gọi số sau.").check(), Err(WordingError::TrailerIncomplete));
    }

    #[test]
    fn a_text_is_rendered_with_its_trailer_or_not_at_all() {
        let wording = Wording::new([
            text("A01", "{H} đã xác nhận thông tin cư trú ông/bà kê khai. Ngày hẹn trả kết quả: {ngay_hen}."),
            text(TRAILER, "Nếu cần hỏi thêm, xin gọi {W}, số {dien_thoai}."),
        ]);
        let fill = Fill {
            requester: "Công an phường Tân Định",
            phone: "024 0000 0123",
            responder: "Công an xã Thử",
            appointment: Some(date(2026, 11, 25)),
            ..Fill::default()
        };
        let on = date(2026, 11, 19);
        assert_eq!(
            wording.render("A01", on, fill).unwrap().text,
            "Công an xã Thử đã xác nhận thông tin cư trú ông/bà kê khai. Ngày hẹn trả kết quả: 25/11/2026. \
             Nếu cần hỏi thêm, xin gọi Công an phường Tân Định, số 024 0000 0123."
        );
        let without_day = Fill { appointment: None, ..fill };
        assert_eq!(wording.render("A01", on, without_day), Err(WordingError::Unfilled("ngay_hen".into())));
        assert!(wording.render("A01", date(2025, 1, 1), fill).is_err(), "not in force yet");
    }
}
