//! Each office's day beside the broker's: what it lists, and in what they differ.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::tz;
use serde_json::{Value, json};
use uuid::Uuid;

use super::desk::Desk;
use super::{ANSWER, Traffic};
use crate::office::DELIVER;

/// How many ids a page has: few, so that reports have several.
const PAGE: usize = 400;

/// The day in a message-id, in Vietnam.
fn day_of(id: &str) -> Result<String> {
    let ms = i64::try_from(id.parse::<Uuid>()?.as_u128() >> 80)?;
    Ok(tz::offset(7).to_datetime(jiff::Timestamp::from_millisecond(ms)?).date().to_string())
}

impl Desk {
    /// Says what it has of a day; gives when it made its lists.
    fn report(&self, day: &str) -> Result<String> {
        let made_at = self.clock.now().to_string();
        let mut ids: Vec<(&str, String)> = Vec::new();
        {
            let kept = self.kept();
            let said = kept.said.iter().filter(|m| !m.message_type.contains("reconcile"));
            ids.extend(said.map(|m| ("sent", m.message_id.clone())));
            let came = kept.came.values().filter(|got| [DELIVER, ANSWER].contains(&got.message_type.as_str()));
            ids.extend(came.map(|got| ("received", got.message_id.clone())));
        }
        let mut of_day = Vec::new();
        for (list, id) in ids {
            if day_of(&id)? == day {
                of_day.push((list, id));
            }
        }
        let pages = of_day.len().div_ceil(PAGE).max(1);
        for page in 0..pages {
            let ids = &of_day[page * PAGE..of_day.len().min((page + 1) * PAGE)];
            let list = |name: &str| ids.iter().filter(|(list, _)| *list == name).map(|(_, id)| id).collect::<Vec<_>>();
            let body = json!({
                "day": day, "made_at": made_at, "page": page + 1, "pages": pages,
                "sent": list("sent"), "received": list("received"),
            });
            self.say("reconcile.report", "reconcile.report", &body)?;
        }
        Ok(made_at)
    }

    /// The differences of a report, once all pages of its result have come.
    fn differences(&self, made_at: &str) -> Option<Vec<Value>> {
        let wanted: jiff::Timestamp = made_at.parse().ok()?;
        let kept = self.kept();
        let at = |result: &&Value| {
            let at = result["made_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            at.is_some_and(|at| at.as_microsecond() == wanted.as_microsecond())
        };
        let results: Vec<&Value> = kept.results.iter().filter(at).collect();
        let pages = usize::try_from(results.first()?["pages"].as_u64()?).ok()?;
        let lines = || results.iter().filter_map(|r| r["differences"].as_array()).flatten().cloned();
        (results.len() == pages).then(|| lines().collect())
    }
}

impl Traffic {
    /// Each office reports a day; gives all differences, with the office of each.
    pub(crate) async fn reconcile(&self, day: &str, within: Duration) -> Result<Vec<(String, Value)>> {
        let mut made: Vec<(&Arc<Desk>, String)> = Vec::new();
        for desk in self.desks() {
            made.push((desk, desk.report(day)?));
        }
        let came = || made.iter().all(|(desk, at)| desk.differences(at).is_some());
        self.until("a result for every report", within, came).await;
        let mut all = Vec::new();
        for (desk, at) in made {
            let lines = desk.differences(&at).context("it was there")?;
            all.extend(lines.into_iter().map(|line| (desk.office.clone(), line)));
        }
        Ok(all)
    }
}
