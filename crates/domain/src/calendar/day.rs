//! Days that are not what their weekday says, and what an office does on Saturdays.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use crate::unit::covers;

/// Why an imported day is not what its weekday says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DayKind {
    /// A public holiday.
    Holiday,
    /// A day off in lieu, or swapped off.
    CompensatoryRest,
    /// A rest day that is worked in exchange.
    WorkingSwap,
    /// A day off at one place: storm, flood, a local festival.
    LocalRest,
    /// A rest day that is worked at one place.
    LocalWork,
}

impl DayKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Holiday, Self::CompensatoryRest, Self::WorkingSwap, Self::LocalRest, Self::LocalWork];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holiday => "holiday",
            Self::CompensatoryRest => "compensatory_rest",
            Self::WorkingSwap => "working_swap",
            Self::LocalRest => "local_rest",
            Self::LocalWork => "local_work",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }

    /// Whether it is for one place, not for the nation.
    pub fn is_local(self) -> bool {
        matches!(self, Self::LocalRest | Self::LocalWork)
    }

    pub(super) fn is_worked(self) -> bool {
        matches!(self, Self::WorkingSwap | Self::LocalWork)
    }
}

/// A day that is not what its weekday says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarDay {
    /// The day.
    pub on: Date,
    /// Why.
    pub kind: DayKind,
    /// What people call it.
    pub name: String,
    /// Not yet decided by the government; makes the whole year provisional.
    pub provisional: bool,
}

/// Which import a calendar is; kept beside every deadline that was counted on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarVersion(Arc<str>);

impl CalendarVersion {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for CalendarVersion {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for CalendarVersion {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for CalendarVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an office does on a Saturday that is nothing else (handbook §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SaturdayMode {
    /// It is closed.
    #[default]
    Off,
    /// The counter is open; the day does not count.
    ReceiveOnly,
    /// It works in the morning, and the day counts.
    Counts,
}

impl SaturdayMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Off, Self::ReceiveOnly, Self::Counts];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::ReceiveOnly => "receive_only",
            Self::Counts => "counts",
        }
    }

    /// Reads the name used in tables.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// A mode over one interval, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaturdayRule {
    /// The mode.
    pub mode: SaturdayMode,
    /// The first day; none: since ever.
    pub valid_from: Option<Date>,
    /// The last day; none: still.
    pub valid_to: Option<Date>,
}

impl SaturdayRule {
    /// The mode of a day by these rules, of which the first that covers it counts.
    pub(super) fn mode_on(rules: &[Self], on: Date) -> SaturdayMode {
        rules.iter().find(|rule| covers(rule.valid_from, rule.valid_to, on)).map_or(SaturdayMode::Off, |rule| rule.mode)
    }
}
