//! A question about groups of requests: by what they are cut, and how PostgreSQL is asked for several cuts at once.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row, query};

use super::Of;
use crate::error::Error;
use crate::time::On;

/// By what figures are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// Not at all.
    Nation,
    /// By H's province; what is unread, by W's.
    Province,
    /// By the type of the home's unit on the day of the submit.
    UnitType,
    /// By what the data are used for.
    Purpose,
    /// By what is asked.
    Kind,
}

impl Cut {
    /// All cuts.
    pub const ALL: [Self; 5] = [Self::Nation, Self::Province, Self::UnitType, Self::Purpose, Self::Kind];

    /// The word in the views and in programs' formats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nation => "nation",
            Self::Province => "province",
            Self::UnitType => "unit_type",
            Self::Purpose => "purpose",
            Self::Kind => "kind",
        }
    }
}

/// One group of a cut: `("province", "08")`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// By what.
    pub cut: Cut,
    /// Which: a code or a word; empty for the nation.
    pub key: String,
}

/// The rows of a view that are of this province and these days. The offset takes nothing away: it has them chosen
/// before they are grouped by several cuts at once, for beside those PostgreSQL 15 does not see that what is asked
/// of a view is what an index has.
macro_rules! of_days {
    ($view:literal) => {
        concat!(
            "(select * from ",
            $view,
            " where submitted_on between $2 and $3 and ($1::text is null or responder_province = $1) offset 0) r"
        )
    };
}
pub(super) use of_days;

/// A question whose rows are grouped by each of some cuts at once.
pub(super) struct Question<'a> {
    /// What is asked of a group, beside `cut` and `key`.
    pub(super) select: &'a str,
    /// The rows, called `r`.
    pub(super) from: &'a str,
    /// The column of the province that counts there.
    pub(super) province: &'static str,
    /// A column by which each group is divided further.
    pub(super) divided: Option<&'static str>,
}

impl Question<'_> {
    /// Its text for these cuts. Of one province alone that cut is the whole, and is not asked a second time.
    fn text(&self, of: &Of, cuts: &[Cut]) -> String {
        let asked: Vec<Cut> = Cut::ALL.into_iter().filter(|cut| self.is_asked(of, cuts, *cut)).collect();
        let column = |cut: &Cut| match cut {
            Cut::Nation => None,
            Cut::Province => Some(self.province),
            Cut::UnitType => Some("r.unit_type"),
            Cut::Purpose => Some("r.purpose"),
            Cut::Kind => Some("r.kind"),
        };
        let columns: Vec<(&str, Cut)> = asked.iter().filter_map(|cut| Some((column(cut)?, *cut))).collect();
        let whens: String =
            columns.iter().map(|(c, cut)| format!("when grouping({c}) = 0 then '{}' ", cut.as_str())).collect();
        let keys: String = columns.iter().map(|(c, _)| format!("{c}, ")).collect();
        let sets: Vec<String> = asked
            .iter()
            .map(|cut| self.divided.into_iter().chain(column(cut)).collect::<Vec<_>>().join(", "))
            .map(|set| format!("({set})"))
            .collect();
        format!(
            "select case {whens}when true then 'nation' end as cut, coalesce({keys}'') as key, {} from {}
             group by grouping sets ({})",
            self.select,
            self.from,
            sets.join(", ")
        )
    }

    fn is_asked(&self, of: &Of, cuts: &[Cut], cut: Cut) -> bool {
        match cut {
            Cut::Province if of.province.is_some() => false,
            Cut::Nation => cuts.contains(&cut) || of.province.is_some() && cuts.contains(&Cut::Province),
            Cut::Province | Cut::UnitType | Cut::Purpose | Cut::Kind => cuts.contains(&cut),
        }
    }

    /// Asks about what was submitted on the days of `of`, or about what is in hand, and reads each row.
    pub(super) async fn ask<T: Clone>(
        &self,
        conn: &mut PgConnection,
        of: &Of,
        cuts: &[Cut],
        read: impl Fn(&PgRow) -> Result<T, Error>,
    ) -> Result<Vec<(Group, T)>, Error> {
        if cuts.is_empty() {
            return Ok(Vec::new());
        }
        // Put together from words of this crate alone.
        let rows = query(AssertSqlSafe(self.text(of, cuts)))
            .bind(of.province.as_deref())
            .bind(On(of.days.from))
            .bind(On(of.days.to))
            .fetch_all(conn)
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let (group, told) = (group(row)?, read(row)?);
            if let (Cut::Nation, Some(code)) = (group.cut, &of.province) {
                found.push((Group { cut: Cut::Province, key: code.clone() }, told.clone()));
            }
            found.push((group, told));
        }
        found.retain(|(group, _)| cuts.contains(&group.cut));
        Ok(found)
    }
}

fn group(row: &PgRow) -> Result<Group, Error> {
    let word: &str = row.try_get("cut")?;
    let cut =
        Cut::ALL.into_iter().find(|c| c.as_str() == word).ok_or_else(|| Error::unreadable("a cut", word.to_owned()))?;
    Ok(Group { cut, key: row.try_get("key")? })
}
