//! What an import changed about the working calendars: the days, by scope.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Calendars, Scope};
use crate::id::OfficeId;
use crate::unit::UnitCode;

/// The days that are worked otherwise than before. Who has a calendar of its own, now or before, has an
/// entry of its own, which may be empty: what changed for the nation need not have changed there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedDays(BTreeMap<Scope, Vec<Date>>);

impl ChangedDays {
    /// Compares two imports. `province_of` tells where an office lies.
    pub fn between(old: &Calendars, new: &Calendars, province_of: impl Fn(&OfficeId) -> Option<UnitCode>) -> Self {
        let days = |scope: Scope| {
            let province = match scope {
                Scope::Office(id) => province_of(&id),
                Scope::Nation | Scope::Province(_) => None,
            };
            (scope, new.in_scope(scope, province).days_unlike(old.in_scope(scope, province)))
        };
        let mut scopes: Vec<Scope> = old.scopes().chain(new.scopes()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes.into_iter().map(days).collect())
    }

    /// Nothing changed, anywhere.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// What changed for an office in a province, in order.
    pub fn of(&self, office: OfficeId, province: Option<UnitCode>) -> &[Date] {
        let scopes = [Some(Scope::Office(office)), province.map(Scope::Province), Some(Scope::Nation)];
        scopes.into_iter().flatten().find_map(|scope| self.0.get(&scope)).map_or(&[], Vec::as_slice)
    }

    /// Whether a day of the nation changed, which is one of nearly every office.
    pub fn is_everywhere(&self) -> bool {
        self.0.get(&Scope::Nation).is_some_and(|days| !days.is_empty())
    }

    /// Every scope with its days.
    pub fn scopes(&self) -> impl Iterator<Item = (Scope, &[Date])> {
        self.0.iter().map(|(scope, days)| (*scope, days.as_slice()))
    }
}

impl FromIterator<(Scope, Vec<Date>)> for ChangedDays {
    fn from_iter<T: IntoIterator<Item = (Scope, Vec<Date>)>>(rows: T) -> Self {
        Self(
            rows.into_iter()
                .map(|(scope, mut days)| {
                    days.sort_unstable();
                    (scope, days)
                })
                .collect(),
        )
    }
}
